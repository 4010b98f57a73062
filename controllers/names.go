package controllers

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Labels and names of the objects that the operator makes.
const (
	nameLabel      = "app.kubernetes.io/name"
	componentLabel = "app.kubernetes.io/component"
	managedLabel   = "app.kubernetes.io/managed-by"
	productName    = "counterweight"
	agentComponent = "miner-agent"
	agentPortName  = "lease"
	agentPort      = 7443
	agentHTTPPort  = 8082
)

func groupVersionKind(ref *metav1.OwnerReference) schema.GroupVersionKind {
	return schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)
}
