package played

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
)

// volumes of a pod, as folders. Files are links through ..data to a numbered folder, so that an update
// shows all of its files at once, as a kubelet's do.
type volumes struct {
	dir     string
	data    lookup
	pod     *corev1.Pod
	place   place
	written map[string]map[string][]byte
	version int
}

func newVolumes(dir string, pod *corev1.Pod, at place, data lookup) *volumes {
	return &volumes{dir: dir, data: data, pod: pod, place: at, written: map[string]map[string][]byte{}}
}

// refresh writes what is new. It fails where a volume that is not optional has nothing to hold yet.
func (v *volumes) refresh() error {
	for _, volume := range v.pod.Spec.Volumes {
		files, err := v.files(volume.VolumeSource)
		if err != nil {
			return fmt.Errorf("volume %s: %w", volume.Name, err)
		}
		if err := v.write(volume.Name, files); err != nil {
			return fmt.Errorf("volume %s: %w", volume.Name, err)
		}
	}
	return nil
}

func (v *volumes) files(source corev1.VolumeSource) (map[string][]byte, error) {
	switch {
	case source.Secret != nil:
		return pick(v.data.secret, source.Secret.SecretName, source.Secret.Items, source.Secret.Optional)
	case source.ConfigMap != nil:
		return pick(v.data.configMap, source.ConfigMap.Name, source.ConfigMap.Items, source.ConfigMap.Optional)
	case source.DownwardAPI != nil:
		return v.downward(source.DownwardAPI.Items)
	case source.EmptyDir != nil:
		return nil, nil
	case source.Projected != nil:
		return v.projected(source.Projected.Sources)
	}
	return nil, fmt.Errorf("a kind that rehearsals do not play")
}

func (v *volumes) projected(sources []corev1.VolumeProjection) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, s := range sources {
		var files map[string][]byte
		var err error
		switch {
		case s.Secret != nil:
			files, err = pick(v.data.secret, s.Secret.Name, s.Secret.Items, s.Secret.Optional)
		case s.ConfigMap != nil:
			files, err = pick(v.data.configMap, s.ConfigMap.Name, s.ConfigMap.Items, s.ConfigMap.Optional)
		case s.DownwardAPI != nil:
			files, err = v.downward(s.DownwardAPI.Items)
		}
		if err != nil {
			return nil, err
		}
		maps.Copy(out, files)
	}
	return out, nil
}

func pick(read func(string) (map[string][]byte, error), name string, items []corev1.KeyToPath, optional *bool) (map[string][]byte, error) {
	all, err := read(name)
	if err != nil {
		if optional != nil && *optional {
			return nil, nil
		}
		return nil, err
	}
	if len(items) == 0 {
		return all, nil
	}
	out := map[string][]byte{}
	for _, item := range items {
		value, ok := all[item.Key]
		if !ok && (optional == nil || !*optional) {
			return nil, fmt.Errorf("%s has no key %q", name, item.Key)
		}
		if ok {
			out[item.Path] = value
		}
	}
	return out, nil
}

func (v *volumes) downward(items []corev1.DownwardAPIVolumeFile) (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, item := range items {
		if item.FieldRef == nil {
			return nil, fmt.Errorf("downward API without fieldRef")
		}
		value, err := field(v.pod, item.FieldRef.FieldPath, v.place)
		if err != nil {
			return nil, err
		}
		out[item.Path] = []byte(value)
	}
	return out, nil
}

func (v *volumes) write(name string, files map[string][]byte) error {
	root := filepath.Join(v.dir, name)
	before, again := v.written[name]
	if again && maps.EqualFunc(before, files, bytes.Equal) {
		return nil
	}
	v.version++
	target := ".." + strconv.Itoa(v.version)
	for path, content := range files {
		file := filepath.Join(root, target, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(file, content, 0o600); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Join(root, target), 0o700); err != nil {
		return err
	}
	if err := replaceLink(target, filepath.Join(root, "..data")); err != nil {
		return err
	}
	v.written[name] = files
	return linkFiles(root, before, files)
}

func replaceLink(target, path string) error {
	fresh := path + ".new"
	if err := os.Symlink(target, fresh); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}

// linkFiles makes the names people use, and drops those whose file is gone.
func linkFiles(root string, before, now map[string][]byte) error {
	for _, path := range slices.Sorted(maps.Keys(now)) {
		if _, there := before[path]; there {
			continue
		}
		link := filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(link), 0o700); err != nil {
			return err
		}
		if err := replaceLink(filepath.Join(root, "..data", path), link); err != nil {
			return err
		}
	}
	for path := range before {
		if _, there := now[path]; !there {
			if err := os.Remove(filepath.Join(root, path)); err != nil {
				return err
			}
		}
	}
	return nil
}

// mounts of a container: mount path to folder.
func (v *volumes) mounts(c *corev1.Container) map[string]string {
	out := map[string]string{}
	for _, m := range c.VolumeMounts {
		out[m.MountPath] = filepath.Join(v.dir, m.Name, m.SubPath)
	}
	return out
}
