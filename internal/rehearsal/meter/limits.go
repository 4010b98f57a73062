package meter

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Budget is a PowerBudget as written.
type Budget struct {
	Name, Parent string
	Limit        int64
}

// Event is a CurtailmentEvent as written. Either Limit or Reduce is set.
type Event struct {
	Name, Budget  string
	Limit, Reduce *int64
	Start, End    time.Time
}

// At is the limit an event sets on a budget with a limit of its own.
func (e Event) At(own int64) int64 {
	switch {
	case e.Limit != nil:
		return min(own, *e.Limit)
	case e.Reduce != nil:
		return max(0, own-*e.Reduce)
	}
	return own
}

// Limits are the limits in force, from what was written last.
type Limits struct {
	mu      sync.Mutex
	budgets map[string]Budget
	events  map[string]Event
}

// NewLimits knows nothing yet.
func NewLimits() *Limits {
	return &Limits{budgets: map[string]Budget{}, events: map[string]Event{}}
}

// SetBudget notes a PowerBudget; one that can't be read keeps its former limit.
func (l *Limits) SetBudget(u *unstructured.Unstructured) error {
	b, err := ParseBudget(u)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.budgets[b.Name] = b
	return nil
}

// SetEvent notes a CurtailmentEvent.
func (l *Limits) SetEvent(u *unstructured.Unstructured) error {
	e, err := ParseEvent(u)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events[e.Name] = e
	return nil
}

// DropBudget and DropEvent forget what was deleted.
func (l *Limits) DropBudget(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.budgets, name)
}

// DropEvent forgets a deleted event.
func (l *Limits) DropEvent(name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.events, name)
}

// Budgets lists what is known.
func (l *Limits) Budgets() []Budget {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.SortedFunc(maps.Values(l.budgets), func(a, b Budget) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
}

// At is a budget's limit at an instant; nil where nothing is written.
func (l *Limits) At(name string, t time.Time) *int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.budgets[name]
	if !ok {
		return nil
	}
	limit := b.Limit
	for _, e := range l.events {
		if e.Budget == name && !t.Before(e.Start) && t.Before(e.End) {
			limit = min(limit, e.At(b.Limit))
		}
	}
	return &limit
}

// ParseBudget reads a PowerBudget.
func ParseBudget(u *unstructured.Unstructured) (Budget, error) {
	limit, err := Quantity(u, "limitWatts")
	if err != nil {
		return Budget{}, err
	}
	if limit == nil {
		return Budget{}, fmt.Errorf("PowerBudget %s has no spec.limitWatts", u.GetName())
	}
	parent, _, _ := unstructured.NestedString(u.Object, "spec", "parent")
	return Budget{Name: u.GetName(), Parent: parent, Limit: *limit}, nil
}

// ParseEvent reads a CurtailmentEvent.
func ParseEvent(u *unstructured.Unstructured) (Event, error) {
	e := Event{Name: u.GetName()}
	e.Budget, _, _ = unstructured.NestedString(u.Object, "spec", "budget")
	var err error
	if e.Limit, err = Quantity(u, "limitWatts"); err != nil {
		return Event{}, err
	}
	if e.Reduce, err = Quantity(u, "reduceByWatts"); err != nil {
		return Event{}, err
	}
	for field, into := range map[string]*time.Time{"start": &e.Start, "end": &e.End} {
		text, _, _ := unstructured.NestedString(u.Object, "spec", field)
		if *into, err = time.Parse(time.RFC3339, text); err != nil {
			return Event{}, fmt.Errorf("CurtailmentEvent %s: spec.%s: %w", u.GetName(), field, err)
		}
	}
	return e, nil
}

// Quantity reads watts of a spec, written as text or as a number; nil where it is left out.
func Quantity(u *unstructured.Unstructured, field string) (*int64, error) {
	value, found, err := unstructured.NestedFieldNoCopy(u.Object, "spec", field)
	if err != nil || !found {
		return nil, err
	}
	q, err := resource.ParseQuantity(fmt.Sprint(value))
	if err != nil {
		return nil, fmt.Errorf("%s %s: spec.%s: %w", u.GetKind(), u.GetName(), field, err)
	}
	return new(q.Value()), nil
}
