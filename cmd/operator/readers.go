package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
)

const (
	// reviewStands is how long an answer about a token stands, so that scrapes cost the API server two questions a minute.
	reviewStands = time.Minute
	// reviewsKept bounds the answers that are remembered, reviewsPerSecond the questions: strangers who try one
	// token after another must not cost the API server more than that, nor this process its memory.
	reviewsKept      = 64
	reviewsPerSecond = 10
)

// readers knows who may read the metrics. It does what controller-runtime's filter of that purpose does, without
// the policy engine, the tracing and the metrics of an API server, which that brings into the process.
type readers struct {
	clients kubernetes.Interface
	clock   func() time.Time
	pace    *rate.Limiter

	mu    sync.Mutex
	known map[[sha256.Size]byte]verdict
}

// verdict is what the API server said of one token: the status to refuse it with, or 200.
type verdict struct {
	status int
	until  time.Time
}

// onlyReaders lets through whoever the API server knows by the token and allows to get the path.
func onlyReaders(cfg *rest.Config, client *http.Client) (server.Filter, error) {
	clients, err := kubernetes.NewForConfigAndClient(cfg, client)
	if err != nil {
		return nil, fmt.Errorf("making the client that asks who reads metrics: %w", err)
	}
	r := &readers{
		clients: clients, clock: time.Now, pace: rate.NewLimiter(reviewsPerSecond, reviewsPerSecond), known: map[[sha256.Size]byte]verdict{},
	}
	return r.filter, nil
}

func (r *readers) filter(log logr.Logger, next http.Handler) (http.Handler, error) {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		status, err := r.judge(request)
		if err != nil {
			log.Error(err, "Nobody reads metrics now")
		}
		if status != http.StatusOK {
			http.Error(w, http.StatusText(status), status)
			return
		}
		next.ServeHTTP(w, request)
	}), nil
}

// judge answers the status for a request; what can't be asked is refused.
func (r *readers) judge(request *http.Request) (int, error) {
	kind, token, _ := strings.Cut(request.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(kind, "Bearer") || token == "" {
		return http.StatusUnauthorized, nil
	}
	if request.Method != http.MethodGet {
		return http.StatusMethodNotAllowed, nil
	}
	key := sha256.Sum256([]byte(request.URL.Path + " " + token))
	if status, ok := r.remembered(key); ok {
		return status, nil
	}
	if !r.pace.AllowN(r.clock(), 1) {
		return http.StatusTooManyRequests, nil
	}
	status, err := r.ask(request.Context(), token, request.URL.Path)
	if err != nil {
		return http.StatusInternalServerError, err
	}
	r.remember(key, status)
	return status, nil
}

func (r *readers) remembered(key [sha256.Size]byte) (int, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	v, ok := r.known[key]
	return v.status, ok && r.clock().Before(v.until)
}

func (r *readers) remember(key [sha256.Size]byte, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.known) >= reviewsKept {
		clear(r.known)
	}
	r.known[key] = verdict{status, r.clock().Add(reviewStands)}
}

// ask has the API server say whose token it is, and whether that one may.
func (r *readers) ask(ctx context.Context, token, path string) (int, error) {
	who, err := r.clients.AuthenticationV1().TokenReviews().Create(ctx,
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil {
		return 0, fmt.Errorf("asking whose token it is: %w", err)
	}
	if !who.Status.Authenticated {
		return http.StatusUnauthorized, nil
	}
	user := who.Status.User
	spec := authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups, Extra: map[string]authorizationv1.ExtraValue{},
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: path, Verb: "get"},
	}
	for name, values := range user.Extra {
		spec.Extra[name] = authorizationv1.ExtraValue(values)
	}
	may, err := r.clients.AuthorizationV1().SubjectAccessReviews().Create(ctx,
		&authorizationv1.SubjectAccessReview{Spec: spec}, metav1.CreateOptions{})
	if err != nil {
		return 0, fmt.Errorf("asking whether %s may read metrics: %w", user.Username, err)
	}
	if !may.Status.Allowed {
		return http.StatusForbidden, nil
	}
	return http.StatusOK, nil
}
