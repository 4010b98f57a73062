// Package e2e plays a site on a real node: the chart installed with the built images, agents as the pods that the
// operator makes, simulated miners, and accelerator pods that run. Its tests are behind the build tag e2e; make e2e
// runs them (docs/e2e.md).
package e2e
