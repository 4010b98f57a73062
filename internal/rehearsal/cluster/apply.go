package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

// Writer writes objects of any kind, as kubectl does.
type Writer struct {
	client dynamic.Interface
	mapper *restmapper.DeferredDiscoveryRESTMapper
	mu     sync.Mutex
}

// fieldManager of what a rehearsal applies.
const fieldManager = "rehearsal"

// NewWriter makes a Writer with somebody's rights.
func NewWriter(cfg *rest.Config) (*Writer, error) {
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	disco, err := discovery.NewDiscoveryClientForConfig(cfg)
	if err != nil {
		return nil, fmt.Errorf("making a discovery client: %w", err)
	}
	return &Writer{client: client, mapper: restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(disco))}, nil
}

// mapping finds the resource of a kind, asking again where it is not known: a definition may be new.
func (w *Writer) mapping(gvk schema.GroupVersionKind) (*meta.RESTMapping, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var versions []string
	if gvk.Version != "" {
		versions = []string{gvk.Version}
	}
	found, err := w.mapper.RESTMapping(gvk.GroupKind(), versions...)
	if meta.IsNoMatchError(err) {
		w.mapper.Reset()
		found, err = w.mapper.RESTMapping(gvk.GroupKind(), versions...)
	}
	return found, err
}

// Resource is the client for a kind's objects in a namespace, which is "default" where none is given for
// a kind that needs one.
func (w *Writer) Resource(gvk schema.GroupVersionKind, namespace string) (dynamic.ResourceInterface, error) {
	found, err := w.mapping(gvk)
	if err != nil {
		return nil, err
	}
	if found.Scope.Name() != meta.RESTScopeNameNamespace {
		return w.client.Resource(found.Resource), nil
	}
	if namespace == "" {
		namespace = metav1.NamespaceDefault
	}
	return w.client.Resource(found.Resource).Namespace(namespace), nil
}

// Apply applies objects in order, each tried for some seconds where it might be too early for it: its
// definition, its namespace or a default ServiceAccount may still be on the way.
func (w *Writer) Apply(ctx context.Context, objects []*unstructured.Unstructured) error {
	for _, o := range objects {
		limited, cancel := context.WithTimeout(ctx, 15*time.Second)
		err := poll(limited, func() error {
			err := w.applyOne(limited, o)
			if err != nil && !tooEarly(err) {
				return fatal{err}
			}
			return err
		})
		cancel()
		if err != nil {
			return fmt.Errorf("applying %s %s: %w", o.GetKind(), nameOf(o), err)
		}
	}
	return nil
}

func (w *Writer) applyOne(ctx context.Context, o *unstructured.Unstructured) error {
	client, err := w.Resource(o.GroupVersionKind(), o.GetNamespace())
	if err != nil {
		return err
	}
	_, err = client.Apply(ctx, o.GetName(), o.DeepCopy(), metav1.ApplyOptions{FieldManager: fieldManager, Force: true})
	return err
}

func tooEarly(err error) bool {
	var group *discovery.ErrGroupDiscoveryFailed
	return meta.IsNoMatchError(err) || errors.As(err, &group) || apierrors.IsNotFound(err) || apierrors.IsServerTimeout(err) ||
		apierrors.IsTooManyRequests(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsInternalError(err) ||
		(apierrors.IsForbidden(err) && (strings.Contains(err.Error(), "serviceaccount") || strings.Contains(err.Error(), "not yet ready to handle request")))
}

func nameOf(o *unstructured.Unstructured) string {
	if o.GetNamespace() == "" {
		return o.GetName()
	}
	return o.GetNamespace() + "/" + o.GetName()
}

// Delete deletes an object with everything it owns; one that is not there is no error.
func (w *Writer) Delete(ctx context.Context, gvk schema.GroupVersionKind, namespace, name string) error {
	client, err := w.Resource(gvk, namespace)
	if err != nil {
		return err
	}
	policy := metav1.DeletePropagationBackground
	err = client.Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &policy})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// Merge patches an object, or one of its subresources.
func (w *Writer) Merge(ctx context.Context, gvk schema.GroupVersionKind, namespace, name string, patch []byte, sub ...string) error {
	client, err := w.Resource(gvk, namespace)
	if err != nil {
		return err
	}
	_, err = client.Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: fieldManager}, sub...)
	return err
}

// YAMLFiles lists the manifests of folders, each folder's by name; kustomize's own files are left out.
func YAMLFiles(dirs ...string) ([]string, error) {
	var out []string
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, fmt.Errorf("reading the project's manifests: %w", err)
		}
		for _, e := range entries {
			if !e.IsDir() && filepath.Ext(e.Name()) == ".yaml" && e.Name() != "kustomization.yaml" {
				out = append(out, filepath.Join(dir, e.Name()))
			}
		}
	}
	return out, nil
}
