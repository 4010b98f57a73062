package controllers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	powerv1 "github.com/counterweight-dev/counterweight/api/v1alpha1"
	"github.com/counterweight-dev/counterweight/internal/link"
)

const (
	tlsPath         = "/etc/counterweight/tls"
	credentialsPath = "/etc/counterweight/credentials"
	caKey           = "ca.crt"
	priorsKey       = "prior-settings.json"
	// lostNodeSeconds is how long an agent pod stays on a node that does not answer.
	lostNodeSeconds = 30
	agentUser       = 65532
)

func poolLabels(p *powerv1.MinerPool) map[string]string {
	return map[string]string{
		nameLabel: productName, componentLabel: agentComponent, managedLabel: productName, powerv1.PoolLabel: p.Name,
	}
}

func tlsName(p *powerv1.MinerPool) string    { return p.Name + "-agent-tls" }
func priorsName(p *powerv1.MinerPool) string { return p.Name + "-prior-settings" }

// tlsSecret is the certificate of a pool's agents, and whom they trust. The certificate is kept while it is this
// authority's, names this pool and is young enough.
func tlsSecret(p *powerv1.MinerPool, ca *link.CA, old *corev1.Secret, now time.Time) (*corev1.Secret, error) {
	leaf := link.Leaf{CertPEM: old.Data[corev1.TLSCertKey], KeyPEM: old.Data[corev1.TLSPrivateKeyKey]}
	keeps := false
	if len(leaf.CertPEM) > 0 && ca.Issued(leaf.CertPEM) {
		renew, err := link.RenewAt(leaf.CertPEM)
		keeps = err == nil && now.Before(renew)
	}
	if keeps && bytes.Equal(old.Data[caKey], ca.TrustedPEM()) {
		return nil, nil //nolint:nilnil // nothing to write
	}
	if !keeps {
		var err error
		if leaf, err = ca.IssueServer(now, link.ServerName(p.Namespace, p.Name)); err != nil {
			return nil, fmt.Errorf("issuing the certificate of the pool's agents: %w", err)
		}
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: tlsName(p), Labels: poolLabels(p)},
		Type:       corev1.SecretTypeTLS,
		Data: map[string][]byte{
			corev1.TLSCertKey: leaf.CertPEM, corev1.TLSPrivateKeyKey: leaf.KeyPEM, caKey: ca.TrustedPEM(),
		},
	}, nil
}

// priorsMap remembers what each device ran before it slept, by agent, as agents report it.
func priorsMap(p *powerv1.MinerPool, priors map[string]map[string]string) (*corev1.ConfigMap, error) {
	data, err := json.Marshal(priors)
	if err != nil {
		return nil, fmt.Errorf("writing down prior settings: %w", err)
	}
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: priorsName(p), Labels: poolLabels(p)},
		Data:       map[string]string{priorsKey: string(data)},
	}, nil
}

// statefulSet is a pool's agents: Parallel, one for each shard of addresses, without a Service (the
// operator dials pod addresses) and without access to the Kubernetes API.
func statefulSet(p *powerv1.MinerPool, agents int32, image string) *appsv1.StatefulSet {
	labels := poolLabels(p)
	spec := powerv1.Or(p.Spec.Agent, powerv1.MinerAgent{})
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name, Labels: labels},
		Spec: appsv1.StatefulSetSpec{
			Replicas: &agents, PodManagementPolicy: appsv1.ParallelPodManagement,
			Selector: &metav1.LabelSelector{MatchLabels: map[string]string{
				componentLabel: agentComponent, powerv1.PoolLabel: p.Name,
			}},
			Template: corev1.PodTemplateSpec{
				// The finalizer stays until the pod is known to have ended (L9).
				ObjectMeta: metav1.ObjectMeta{Labels: maps.Clone(labels), Finalizers: []string{powerv1.LedgerFinalizer}},
				Spec:       agentPod(p, spec, powerv1.OrZero(spec.Image, image)),
			},
		},
	}
}

func agentPod(p *powerv1.MinerPool, spec powerv1.MinerAgent, image string) corev1.PodSpec {
	seconds := int64(lostNodeSeconds)
	pod := corev1.PodSpec{
		AutomountServiceAccountToken: new(false),
		ServiceAccountName:           spec.ServiceAccountName,
		NodeSelector:                 spec.NodeSelector,
		HostNetwork:                  spec.HostNetwork == powerv1.HostNetworkEnabled,
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: new(true), RunAsUser: new(int64(agentUser)), RunAsGroup: new(int64(agentUser)),
			FSGroup:        new(int64(agentUser)),
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		Tolerations: append(append([]corev1.Toleration{}, spec.Tolerations...),
			corev1.Toleration{Key: corev1.TaintNodeNotReady, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds},
			corev1.Toleration{Key: corev1.TaintNodeUnreachable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute, TolerationSeconds: &seconds}),
		Volumes: []corev1.Volume{{Name: "tls", VolumeSource: corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{SecretName: tlsName(p)},
		}}},
		Containers: []corev1.Container{agentContainer(p, spec, image)},
	}
	if name := p.Spec.Devices.CredentialsSecret; name != "" {
		pod.Volumes = append(pod.Volumes, corev1.Volume{Name: "credentials", VolumeSource: corev1.VolumeSource{
			Secret: &corev1.SecretVolumeSource{SecretName: name},
		}})
		pod.Containers[0].VolumeMounts = append(pod.Containers[0].VolumeMounts,
			corev1.VolumeMount{Name: "credentials", MountPath: credentialsPath, ReadOnly: true})
		pod.Containers[0].Env = append(pod.Containers[0].Env, corev1.EnvVar{Name: "COUNTERWEIGHT_CREDENTIALS_DIR", Value: credentialsPath})
	}
	return pod
}

func agentContainer(p *powerv1.MinerPool, spec powerv1.MinerAgent, image string) corev1.Container {
	return corev1.Container{
		Name: "agent", Image: image, ImagePullPolicy: spec.ImagePullPolicy,
		Command: []string{"/miner-agent"}, Args: []string{"run"},
		Env: []corev1.EnvVar{
			downward("POD_IP", "status.podIP"), downward("COUNTERWEIGHT_POD_UID", "metadata.uid"),
			{Name: "COUNTERWEIGHT_LISTEN", Value: fmt.Sprintf("$(POD_IP):%d", agentPort)},
			{Name: "COUNTERWEIGHT_HTTP", Value: fmt.Sprintf("$(POD_IP):%d", agentHTTPPort)},
			{Name: "COUNTERWEIGHT_TLS_DIR", Value: tlsPath},
			{Name: "COUNTERWEIGHT_POOL", Value: p.Namespace + "/" + p.Name},
		},
		Ports: []corev1.ContainerPort{
			{Name: agentPortName, ContainerPort: agentPort, Protocol: corev1.ProtocolTCP},
			{Name: "http", ContainerPort: agentHTTPPort, Protocol: corev1.ProtocolTCP},
		},
		Resources: agentResources(spec),
		// Ready means "up and listening", never "has a lease": a rollout must not wait for watts.
		ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: "/readyz", Port: intstr.FromString("http"),
		}}},
		SecurityContext: &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
			Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: "tls", MountPath: tlsPath, ReadOnly: true}},
	}
}

func downward(name, field string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: field}}}
}

func agentResources(spec powerv1.MinerAgent) corev1.ResourceRequirements {
	if spec.Resources != nil {
		return *spec.Resources
	}
	return corev1.ResourceRequirements{
		Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("64Mi")},
		Limits:   corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("256Mi")},
	}
}
