// Package chart holds the tests of the Helm chart and of config/ against a real API server with the controllers of
// kube-controller-manager. There is no node: the test plays the kubelet for the few pods that must run, with the real
// operator as the program and the rights of the pod's ServiceAccount.
package chart
