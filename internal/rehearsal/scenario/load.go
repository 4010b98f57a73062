package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	kjson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
)

// Problems are what is wrong with a scenario, each naming its field.
type Problems []string

// Error lists them, one a line.
func (p Problems) Error() string { return strings.Join(p, "\n") }

// Load reads and checks a scenario file. Manifests named by path are relative to it.
func Load(path string) (*Scenario, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the scenario: %w", err)
	}
	s, err := Read(data, filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if s.Name == "" {
		base := filepath.Base(path)
		s.Name = strings.TrimSuffix(base, filepath.Ext(base))
	}
	return s, nil
}

// Read decodes and checks a scenario; dir is where relative paths in it start.
func Read(data []byte, dir string) (*Scenario, error) {
	s := &Scenario{}
	if err := decode(data, s); err != nil {
		return nil, err
	}
	var problems Problems
	collect(reflect.ValueOf(s).Elem(), "", &problems)
	if len(problems) > 0 {
		return nil, problems
	}
	if err := s.loadManifests(dir); err != nil {
		return nil, err
	}
	s.applyDefaults()
	if problems := s.check(); len(problems) > 0 {
		return nil, problems
	}
	s.settleInitial()
	return s, nil
}

func decode(data []byte, into *Scenario) error {
	asJSON, err := yaml.YAMLToJSONStrict(data)
	if err != nil {
		return err
	}
	strict, err := kjson.UnmarshalStrict(asJSON, into)
	if err != nil {
		return plain(err)
	}
	var problems Problems
	for _, one := range strict {
		problems = append(problems, one.Error())
	}
	if len(problems) > 0 {
		return problems
	}
	return nil
}

// plain rewrites a decoder's words about Go types for people who write YAML.
func plain(err error) error {
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if wrong.Field == "" {
			return fmt.Errorf("not a scenario: want fields such as fleet, manifests and timeline, got a %s", wrong.Value)
		}
		return fmt.Errorf("%s: want %s, got %s", wrong.Field, wrong.Type, wrong.Value)
	}
	return err
}

var checkedType = reflect.TypeFor[checked]()

// collect walks the scenario for values that could not be read and names their paths.
func collect(v reflect.Value, path string, problems *Problems) {
	if v.Type().Implements(checkedType) && v.Kind() != reflect.Pointer {
		collectValue(v.Interface().(checked), path, problems)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			collect(v.Elem(), path, problems)
		}
	case reflect.Struct:
		collectFields(v, path, problems)
	case reflect.Slice:
		for i := range v.Len() {
			collect(v.Index(i), fmt.Sprintf("%s[%d]", path, i), problems)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			collect(v.MapIndex(key), path+"."+key.String(), problems)
		}
	}
}

func collectValue(one checked, path string, problems *Problems) {
	if bad := one.problem(); bad != nil {
		*problems = append(*problems, fmt.Sprintf("%s: %s", path, bad))
	}
}

func collectFields(v reflect.Value, path string, problems *Problems) {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "":
			collect(v.Field(i), path, problems)
		case path == "":
			collect(v.Field(i), name, problems)
		default:
			collect(v.Field(i), path+"."+name, problems)
		}
	}
}

func (s *Scenario) loadManifests(dir string) error {
	if err := s.Manifests.load(dir); err != nil {
		return fmt.Errorf("manifests: %w", err)
	}
	for i := range s.Timeline {
		if err := s.Timeline[i].Apply.load(dir); err != nil {
			return fmt.Errorf("timeline[%d].apply: %w", i, err)
		}
	}
	return nil
}

func (s *Scenario) applyDefaults() {
	orInt := func(field *int, value int) {
		if *field == 0 {
			*field = value
		}
	}
	orInt(&s.MiningNodes.Count, defaultMiningNodes)
	orInt(&s.Operator.Replicas, 1)
	if s.Operator.Restart == "" {
		s.Operator.Restart = "Always"
	}
	if s.Startup.MiningSharePercent == nil {
		s.Startup.MiningSharePercent = new(float64(defaultStartupShare))
	}
	if s.Startup.Timeout.D == 0 {
		s.Startup.Timeout.D = defaultStartupTimeout
	}
	for i := range s.GPUNodes {
		if s.GPUNodes[i].Resource == "" {
			s.GPUNodes[i].Resource = "nvidia.com/gpu"
		}
	}
	for i := range s.Startup.Await {
		s.Startup.Await[i].applyDefaults()
	}
	for i := range s.Timeline {
		s.Timeline[i].applyDefaults()
	}
	s.Judge.applyDefaults()
}

func (step *Step) applyDefaults() {
	if step.Await != nil {
		step.Await.applyDefaults()
	}
	if step.Scale != nil && step.Scale.Kind == "" {
		step.Scale.Kind = "Deployment"
	}
}

func (a *Await) applyDefaults() {
	if a.Timeout.D == 0 {
		a.Timeout.D = defaultAwaitTimeout
	}
	if a.Workload != "" && a.Is == "" {
		a.Is = "Running"
	}
	if a.Pods != nil && a.Pods.Phase == "" {
		a.Pods.Phase = "Running"
	}
	if a.Condition != nil && a.Condition.Status == "" {
		a.Condition.Status = "True"
	}
}

func (j *Judge) applyDefaults() {
	if j.AllWorkloadsStarted == nil {
		j.AllWorkloadsStarted = new(true)
	}
	if j.MissingSamplesPercentMax == nil {
		j.MissingSamplesPercentMax = new(float64(defaultMissingPercent))
	}
	if j.SampleGapSecondsMax == nil {
		j.SampleGapSecondsMax = new(float64(defaultGapSeconds))
	}
	if j.RampSeconds == nil {
		j.RampSeconds = new(float64(defaultRampSeconds))
	}
}
