package played

import (
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// lookup reads a Secret's or ConfigMap's data.
type lookup interface {
	secret(name string) (map[string][]byte, error)
	configMap(name string) (map[string][]byte, error)
}

// place is where a pod runs: its addresses and where its mounts really are.
type place struct {
	podIP, hostIP string
	mounts        map[string]string // mount path -> folder
}

// environment resolves a container's variables, in order, as a kubelet does.
func environment(pod *corev1.Pod, c *corev1.Container, at place, data lookup) ([]string, error) {
	values := map[string]string{}
	var names []string
	set := func(name, value string) {
		if _, ok := values[name]; !ok {
			names = append(names, name)
		}
		values[name] = value
	}
	for _, from := range c.EnvFrom {
		if err := setFrom(from, data, set); err != nil {
			return nil, err
		}
	}
	for _, e := range c.Env {
		value, found, err := valueOf(pod, c, e, at, data, values)
		if err != nil {
			return nil, fmt.Errorf("env %s: %w", e.Name, err)
		}
		if found {
			set(e.Name, value)
		}
	}
	out := make([]string, 0, len(names))
	for _, name := range names {
		out = append(out, name+"="+at.rewrite(values[name]))
	}
	return out, nil
}

func setFrom(from corev1.EnvFromSource, data lookup, set func(string, string)) error {
	var values map[string][]byte
	var err error
	var optional *bool
	switch {
	case from.SecretRef != nil:
		values, err = data.secret(from.SecretRef.Name)
		optional = from.SecretRef.Optional
	case from.ConfigMapRef != nil:
		values, err = data.configMap(from.ConfigMapRef.Name)
		optional = from.ConfigMapRef.Optional
	}
	if err != nil && (optional == nil || !*optional) {
		return fmt.Errorf("envFrom: %w", err)
	}
	for name, value := range values {
		set(from.Prefix+name, string(value))
	}
	return nil
}

func valueOf(pod *corev1.Pod, c *corev1.Container, e corev1.EnvVar, at place, data lookup, known map[string]string) (value string, found bool, err error) {
	from := e.ValueFrom
	switch {
	case from == nil:
		return expand(e.Value, known), true, nil
	case from.FieldRef != nil:
		value, err = field(pod, from.FieldRef.FieldPath, at)
		return value, true, err
	case from.SecretKeyRef != nil:
		values, err := data.secret(from.SecretKeyRef.Name)
		return keyOf(values, from.SecretKeyRef.Key, from.SecretKeyRef.Optional, err)
	case from.ConfigMapKeyRef != nil:
		values, err := data.configMap(from.ConfigMapKeyRef.Name)
		return keyOf(values, from.ConfigMapKeyRef.Key, from.ConfigMapKeyRef.Optional, err)
	case from.ResourceFieldRef != nil:
		return resourceOf(c, from.ResourceFieldRef), true, nil
	}
	return "", false, fmt.Errorf("a source that rehearsals do not play")
}

func keyOf(values map[string][]byte, key string, optional *bool, err error) (string, bool, error) {
	value, ok := values[key]
	switch {
	case ok:
		return string(value), true, nil
	case optional != nil && *optional:
		return "", false, nil
	case err != nil:
		return "", false, err
	}
	return "", false, fmt.Errorf("key %q is missing", key)
}

func resourceOf(c *corev1.Container, ref *corev1.ResourceFieldSelector) string {
	kind, name, _ := strings.Cut(ref.Resource, ".")
	list := c.Resources.Limits
	if kind == "requests" {
		list = c.Resources.Requests
	}
	q, ok := list[corev1.ResourceName(name)]
	if !ok {
		return "0"
	}
	divisor := int64(1)
	if d := ref.Divisor.Value(); d > 1 {
		divisor = d
	}
	return fmt.Sprint((q.Value() + divisor - 1) / divisor)
}

var keyed = regexp.MustCompile(`^metadata\.(labels|annotations)\['(.+)'\]$`)

// field is the downward API.
func field(pod *corev1.Pod, path string, at place) (string, error) {
	if m := keyed.FindStringSubmatch(path); m != nil {
		if m[1] == "labels" {
			return pod.Labels[m[2]], nil
		}
		return pod.Annotations[m[2]], nil
	}
	switch path {
	case "metadata.name":
		return pod.Name, nil
	case "metadata.namespace":
		return pod.Namespace, nil
	case "metadata.uid":
		return string(pod.UID), nil
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.podIP", "status.podIPs":
		return at.podIP, nil
	case "status.hostIP", "status.hostIPs":
		return at.hostIP, nil
	}
	return "", fmt.Errorf("field %s is not one that rehearsals play", path)
}

var reference = regexp.MustCompile(`\$\$|\$\(([A-Za-z_.-][A-Za-z0-9_.-]*)\)`)

// expand replaces $(NAME) where NAME is known; $$ is an escaped $.
func expand(text string, known map[string]string) string {
	return reference.ReplaceAllStringFunc(text, func(found string) string {
		if found == "$$" {
			return "$"
		}
		if value, ok := known[found[2:len(found)-1]]; ok {
			return value
		}
		return found
	})
}

// everywhere is a listening address that means every address of the pod.
var everywhere = regexp.MustCompile(`(^|=)(?:0\.0\.0\.0|\[::\])?:(\d+)$`)

// rewrite makes a value true for a process without a file system or network of its own: mounts are
// folders elsewhere, and all of the pod's addresses are the one it was given.
func (at place) rewrite(value string) string {
	for _, mount := range slices.SortedFunc(maps.Keys(at.mounts), func(a, b string) int { return len(b) - len(a) }) {
		value = replacePath(value, mount, at.mounts[mount])
	}
	if m := everywhere.FindStringSubmatch(value); m != nil {
		head := strings.TrimSuffix(value, value[len(value)-len(m[0]):])
		value = head + m[1] + net.JoinHostPort(at.podIP, m[2])
	}
	return value
}

// replacePath replaces a path, never a part of a longer name.
func replacePath(value, path, by string) string {
	pattern := regexp.MustCompile(`(^|[=:,])` + regexp.QuoteMeta(strings.TrimSuffix(path, "/")) + `($|[/:,])`)
	return pattern.ReplaceAllString(value, "${1}"+strings.ReplaceAll(by, "$", "$$")+"${2}")
}

// arguments of a container, expanded with its environment. The command's first word is the program.
func arguments(c *corev1.Container, env []string, at place) (program string, args []string) {
	known := map[string]string{}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		known[name] = value
	}
	all := append([]string{""}, c.Args...)
	if len(c.Command) > 0 {
		all = append(append([]string{}, c.Command...), c.Args...)
	}
	for _, arg := range all[1:] {
		args = append(args, at.rewrite(expand(arg, known)))
	}
	return all[0], args
}
