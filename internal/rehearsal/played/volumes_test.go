package played

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func volumePod() *corev1.Pod {
	secret := func(name string, optional bool) corev1.VolumeSource {
		return corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: name, Optional: new(optional)}}
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p"},
		Spec: corev1.PodSpec{Volumes: []corev1.Volume{
			{Name: "tls", VolumeSource: secret("tls", false)},
			{Name: "maybe", VolumeSource: secret("maybe", true)},
			{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
			{Name: "all", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "tls"}, Items: []corev1.KeyToPath{{Key: "tls.crt", Path: "deep/cert"}}}},
				{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "name", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}}},
			}}}},
		}},
	}
}

func content(t *testing.T, parts ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestVolumesFollowTheirObjects(t *testing.T) {
	dir := t.TempDir()
	data := fixed{}
	v := newVolumes(dir, volumePod(), place{}, data)
	if err := v.refresh(); err == nil {
		t.Fatal("want it to wait for a Secret that is not there")
	}
	data["secret/tls"] = map[string][]byte{"tls.crt": []byte("one"), "old": []byte("x")}
	if err := v.refresh(); err != nil {
		t.Fatal(err)
	}
	if got := content(t, dir, "tls", "tls.crt") + content(t, dir, "all", "deep", "cert") + content(t, dir, "all", "name"); got != "oneonep" {
		t.Errorf("got %q", got)
	}
	for _, empty := range []string{"maybe", "scratch"} {
		if _, err := os.Stat(filepath.Join(dir, empty)); err != nil {
			t.Errorf("%s: %v", empty, err)
		}
	}
	data["secret/tls"] = map[string][]byte{"tls.crt": []byte("two"), "new": []byte("y")}
	if err := v.refresh(); err != nil {
		t.Fatal(err)
	}
	if got := content(t, dir, "tls", "tls.crt") + content(t, dir, "tls", "new") + content(t, dir, "all", "deep", "cert"); got != "twoytwo" {
		t.Errorf("after the change: got %q", got)
	}
	if _, err := os.Lstat(filepath.Join(dir, "tls", "old")); !os.IsNotExist(err) {
		t.Errorf("a key that is gone still has a file: %v", err)
	}
}

func TestAddressesNeverCollide(t *testing.T) {
	one, err := NewAddresses()
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	other, err := NewAddresses()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	seen := map[netip.Addr]bool{}
	var last netip.Addr
	for range 3 * perBlock / 2 {
		for _, a := range []*Addresses{one, other} {
			if last, err = a.Take(); err != nil {
				t.Fatal(err)
			}
			if seen[last] || !last.IsLoopback() {
				t.Fatalf("%s was handed out twice, or is no loopback address", last)
			}
			seen[last] = true
		}
	}
	other.Give(last)
	if again, _ := other.Take(); again == last {
		t.Errorf("%s was handed out again at once", again)
	}
}
