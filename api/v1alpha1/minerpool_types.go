package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Control says whether the operator commands a pool's devices.
// +kubebuilder:validation:Enum=Manage;Observe
type Control string

// The values of MinerPool.spec.control.
const (
	// ControlManage reads and commands the devices.
	ControlManage Control = "Manage"
	// ControlObserve reads and reports; nothing is commanded, and every device
	// counts as rated.
	ControlObserve Control = "Observe"
)

// Firmware names how a device is spoken to.
// +kubebuilder:validation:Enum=Auto;Antminer;BraiinsOS;LuxOS;VNish;WhatsMiner;ePIC;Auradine;Avalon;AxeOS;SealMiner;MaraFW;ProtoRig
type Firmware string

// The values of MinerPool.spec.devices.firmware.
const (
	// FirmwareAuto asks each device what it is.
	FirmwareAuto Firmware = "Auto"
	// FirmwareAntminer is Bitmain's own firmware, by its web pages.
	FirmwareAntminer Firmware = "Antminer"
	// FirmwareBraiinsOS is Braiins OS, by its public REST API.
	FirmwareBraiinsOS Firmware = "BraiinsOS"
	// FirmwareLuxOS is LuxOS, by its cgminer-style TCP API.
	FirmwareLuxOS Firmware = "LuxOS"
	// FirmwareVNish is VNish (AnthillOS) 1.2 or later, by its REST API.
	FirmwareVNish Firmware = "VNish"
	// FirmwareWhatsMiner is MicroBT's own firmware, by its TCP API v2 or v3.
	FirmwareWhatsMiner Firmware = "WhatsMiner"
	// FirmwareEPIC is ePIC's firmware (PowerPlay), by its HTTP API.
	FirmwareEPIC Firmware = "ePIC"
	// FirmwareAuradine is Auradine's own firmware (FluxOS), by HTTP and its RPC.
	FirmwareAuradine Firmware = "Auradine"
	// FirmwareAvalon is Canaan's own firmware, by its cgminer-style TCP API.
	FirmwareAvalon Firmware = "Avalon"
	// FirmwareAxeOS is AxeOS (ESP-Miner), by its HTTP API.
	FirmwareAxeOS Firmware = "AxeOS"
	// FirmwareSealMiner is Bitdeer's own firmware, by its cgminer-style TCP API.
	FirmwareSealMiner Firmware = "SealMiner"
	// FirmwareMaraFW is Marathon's firmware, by its web API.
	FirmwareMaraFW Firmware = "MaraFW"
	// FirmwareProtoRig is that of Proto Rigs, by its REST API.
	FirmwareProtoRig Firmware = "ProtoRig"
)

// Firmwares are those that can be named, FirmwareAuto aside.
func Firmwares() []Firmware {
	return []Firmware{
		FirmwareAntminer, FirmwareBraiinsOS, FirmwareLuxOS, FirmwareVNish, FirmwareWhatsMiner, FirmwareEPIC,
		FirmwareAuradine, FirmwareAvalon, FirmwareAxeOS, FirmwareSealMiner, FirmwareMaraFW,
		FirmwareProtoRig,
	}
}

// HostNetwork says which network an agent pod is on.
// +kubebuilder:validation:Enum=Disabled;Enabled
type HostNetwork string

// The values of MinerPool.spec.agent.hostNetwork.
const (
	// HostNetworkDisabled puts agent pods on the pod network, where
	// NetworkPolicies hold.
	HostNetworkDisabled HostNetwork = "Disabled"
	// HostNetworkEnabled puts agent pods on their node's network;
	// NetworkPolicies do not hold there.
	HostNetworkEnabled HostNetwork = "Enabled"
)

// FirmwarePort maps one firmware to a port.
type FirmwarePort struct {
	// firmware that is spoken to on port, e.g. BraiinsOS; any that
	// devices.firmware takes, but Auto.
	// +required
	// +kubebuilder:validation:XValidation:rule="self != 'Auto'",message="spec.devices.ports[].firmware must name one firmware, e.g. BraiinsOS: Auto has no port"
	Firmware Firmware `json:"firmware,omitempty"`

	// port is the TCP port, 1 to 65535, e.g. 8080.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port,omitempty"`
}

// MinerDevices says where a pool's devices are and how to speak to them.
type MinerDevices struct {
	// addresses of the devices: single addresses, CIDRs of at most 65,536
	// addresses, or FIRST-LAST, e.g. ["10.20.0.0/22", "10.21.0.5-10.21.0.90"]. 1
	// to 256 entries that don't overlap, here or with another pool. Every
	// address is asked; those that don't answer cost nothing but time, since
	// what counts as drawn is ratedWatts.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=2
	// +kubebuilder:validation:items:MaxLength=79
	// +kubebuilder:validation:items:XValidation:rule="isIP(self) || isCIDR(self) || (self.split('-').size() == 2 && self.split('-').all(a, isIP(a)))",message="spec.devices.addresses[] must be an address, a CIDR, or FIRST-LAST, e.g. 10.20.0.0/22"
	// +kubebuilder:validation:items:XValidation:rule="!isCIDR(self) || (cidr(self) == cidr(self).masked() && cidr(self).prefixLength() >= (cidr(self).ip().family() == 4 ? 16 : 112))",message="a CIDR in spec.devices.addresses must have its host bits zero and at most 65,536 addresses: /16 or longer for IPv4, /112 or longer for IPv6"
	// +kubebuilder:validation:items:XValidation:rule="self.split('-').size() != 2 || !self.split('-').all(a, isIP(a)) || ip(self.split('-')[0]).family() == ip(self.split('-')[1]).family()",message="FIRST-LAST in spec.devices.addresses must be two addresses of one family: both IPv4 or both IPv6"
	// +kubebuilder:validation:XValidation:rule="[self.filter(a, isCIDR(a)).map(a, cidr(a))].all(cidrs, cidrs.all(a, cidrs.all(b, a == b || !a.containsCIDR(b))))",message="spec.devices.addresses must not overlap: remove the CIDR that lies inside another"
	// +kubebuilder:validation:XValidation:rule="[self.filter(a, isCIDR(a)).map(a, cidr(a))].all(cidrs, self.filter(a, isIP(a.split('-')[0])).map(a, ip(a.split('-')[0])).all(first, !cidrs.exists(c, c.containsIP(first))))",message="spec.devices.addresses must not overlap: remove the address, or the FIRST-LAST, that lies inside a CIDR"
	Addresses []string `json:"addresses,omitempty"`

	// firmware of the devices: Antminer, Auradine, Avalon, AxeOS, BraiinsOS,
	// LuxOS, MaraFW, ProtoRig, SealMiner, VNish, WhatsMiner, ePIC, or Auto
	// (if left out), which asks each device.
	// +optional
	Firmware Firmware `json:"firmware,omitempty"`

	// ports overrides the port a firmware is spoken to on, where a site maps it,
	// e.g. [{firmware: BraiinsOS, port: 8080}].
	// +optional
	// +listType=map
	// +listMapKey=firmware
	// +kubebuilder:validation:MaxItems=16
	Ports []FirmwarePort `json:"ports,omitempty"`

	// credentialsSecret names a Secret in this namespace with the keys username
	// and password, or FIRMWARE.username and FIRMWARE.password (e.g.
	// VNish.password), or both; those of a firmware win. If left out, and for
	// firmwares that a Secret without the common keys does not name, each
	// firmware's factory credentials are used.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="spec.devices.credentialsSecret must be the name of a Secret in this namespace, e.g. asic-credentials"
	CredentialsSecret string `json:"credentialsSecret,omitempty"`
}

// MinerAgent says how a pool's mining pods run.
type MinerAgent struct {
	// image of the mining pods; the operator's own --agent-image if left out.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Image string `json:"image,omitempty"`

	// imagePullPolicy of the mining pods, as in a container: Always,
	// IfNotPresent or Never.
	// +optional
	// +kubebuilder:validation:Enum=Always;IfNotPresent;Never
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`

	// resources of the agent container. Left out: requests of 100m CPU and 64Mi,
	// a limit of 256Mi.
	// +optional
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`

	// nodeSelector of the mining pods: nodes that reach the devices' network,
	// e.g. {miner-vlan: reachable}.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.size() <= 317 && !format.qualifiedName().validate(k).hasValue() && self[k].size() <= 63)",message="spec.agent.nodeSelector must be node labels as kubectl label takes them, e.g. miner-vlan: reachable"
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// tolerations of the mining pods. Those for not-ready and unreachable nodes
	// (30 s) are added.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// hostNetwork puts the mining pods on their nodes' own network. Disabled (if
	// left out) or Enabled. Enabled needs a privileged namespace, allows one
	// agent per node, and NetworkPolicies do not hold.
	// +optional
	HostNetwork HostNetwork `json:"hostNetwork,omitempty"`

	// serviceAccountName of the mining pods; the namespace's default if left
	// out. They need no access to the Kubernetes API, and get no token.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="spec.agent.serviceAccountName must be the name of a ServiceAccount in this namespace, e.g. miners"
	ServiceAccountName string `json:"serviceAccountName,omitempty"`
}

// MinerPoolSpec says which devices make up a pool, what feeds them and how
// much they can draw.
// +kubebuilder:validation:XValidation:rule="self.budget == oldSelf.budget",message="spec.budget is immutable: delete this MinerPool and create it under the other budget"
// +kubebuilder:validation:XValidation:rule="!has(self.floorWatts) || !isQuantity(string(self.floorWatts)) || !isQuantity(string(self.ratedWatts)) || quantity(string(self.floorWatts)).compareTo(quantity(string(self.ratedWatts))) <= 0",message="spec.floorWatts must not be more than spec.ratedWatts: lower the floor"
type MinerPoolSpec struct {
	// budget names the PowerBudget that feeds every device of this pool, e.g.
	// hall-1. It can't be changed later: devices don't move between feeders by
	// an edit.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!format.dns1123Subdomain().validate(self).hasValue()",message="spec.budget must be the name of a PowerBudget: lower-case letters, digits, '-' and '.', e.g. hall-1"
	Budget string `json:"budget,omitempty"`

	// control says whether the devices are commanded. Manage (if left out), or
	// Observe: read and report, command nothing, and count every device at its
	// rated watts.
	// +optional
	Control Control `json:"control,omitempty"`

	// devices says where the devices are and how to speak to them.
	// +required
	Devices MinerDevices `json:"devices,omitzero"`

	// devicesPerAgent is how many addresses one mining pod minds, 1 to 1024; 256
	// if left out.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1024
	DevicesPerAgent int32 `json:"devicesPerAgent,omitempty"`

	// ratedWatts is the most this pool can draw, by nameplate or breaker: an
	// upper bound, never an average. Watts of it that no device found accounts
	// for are counted as drawn, so too high a value leaves watts unused and too
	// low a value is unsafe. Whole watts, from 1, e.g. 3600k.
	// +required
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]{1,13}(\.[0-9]{1,9})?[kMGT]?$`
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).isInteger() && quantity(string(self)).asInteger() >= 1 && quantity(string(self)).asInteger() <= 1000000000000",message="ratedWatts must be whole watts from 1 to 1T, e.g. 3600k"
	RatedWatts resource.Quantity `json:"ratedWatts"`

	// uncertaintyPercent is added to watts that firmware estimates rather than
	// measures. 0 to 100; 5 if left out.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	UncertaintyPercent *int32 `json:"uncertaintyPercent,omitempty"`

	// floorWatts of hashing are kept in this pool unless a limit forces less,
	// e.g. for heat that is used. Whole watts, e.g. 50k; 0 if left out. At most
	// ratedWatts.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]{1,13}(\.[0-9]{1,9})?[kMGT]?$`
	// +kubebuilder:validation:XValidation:rule="isQuantity(string(self)) && quantity(string(self)).isInteger() && quantity(string(self)).asInteger() >= 0 && quantity(string(self)).asInteger() <= 1000000000000",message="floorWatts must be whole watts from 0 to 1T, e.g. 50k"
	FloorWatts *resource.Quantity `json:"floorWatts,omitempty"`

	// priority of this pool against GPUWorkload.spec.priority. -1000000 to
	// 1000000; 0 if left out. An AI pod of the same or a higher priority takes
	// this pool's watts.
	// +optional
	// +kubebuilder:validation:Minimum=-1000000
	// +kubebuilder:validation:Maximum=1000000
	Priority *int32 `json:"priority,omitempty"`

	// agent says how the mining pods that speak to the devices run.
	// +optional
	Agent *MinerAgent `json:"agent,omitempty"`
}

// MinerPoolDevices counts a pool's devices.
type MinerPoolDevices struct {
	// total devices found.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Total *int32 `json:"total,omitempty"`

	// hashing devices: at work, or starting.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Hashing *int32 `json:"hashing,omitempty"`

	// sleeping devices: verified asleep.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Sleeping *int32 `json:"sleeping,omitempty"`

	// unreachable devices: no answer to three polls; counted at their rated
	// watts.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Unreachable *int32 `json:"unreachable,omitempty"`

	// stuck devices: they answer, but do not do what they were told.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Stuck *int32 `json:"stuck,omitempty"`
}

// MinerPoolSplit is one way of splitting addresses over mining pods: in their
// order, so many for each.
type MinerPoolSplit struct {
	// addresses are spec.devices.addresses as they were.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=2
	// +kubebuilder:validation:items:MaxLength=79
	Addresses []string `json:"addresses,omitempty"`

	// devicesPerAgent is how many addresses one mining pod minds.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=1024
	DevicesPerAgent int32 `json:"devicesPerAgent,omitempty"`
}

// MinerPoolStatus says what a pool was found to be and how much it may draw.
// +kubebuilder:validation:MinProperties=1
type MinerPoolStatus struct {
	// conditions are Ready, Reachable, Curtailed, and Stalled only while true.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the metadata.generation this status answers; -1 is
	// "none yet".
	// +optional
	// +kubebuilder:validation:Minimum=-1
	ObservedGeneration int64 `json:"observedGeneration,omitempty"` //nolint:kubeapilinter // never 0: -1 is none yet, and generations start at 1

	// splits says how the addresses are split over the mining pods, newest last:
	// one, and more while addresses move from one to another.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Splits []MinerPoolSplit `json:"splits,omitempty"`

	// agents is how many mining pods this pool is split over.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Agents *int32 `json:"agents,omitempty"`

	// devices counts the devices by what they do.
	// +optional
	Devices *MinerPoolDevices `json:"devices,omitempty"`

	// leasedWatts is what this pool's agents are allowed to draw together.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:Pattern=`^[0-9]{1,13}(\.[0-9]{1,9})?[kMGT]?$`
	LeasedWatts *resource.Quantity `json:"leasedWatts,omitempty"`
}

// MinerPool is a set of mining devices (ASICs) fed by one PowerBudget,
// behind mining pods that lease watts from it. Mining fills what AI pods
// leave, and gives it back before the next one starts.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Namespaced,shortName=mpool,categories=counterweight
// +kubebuilder:printcolumn:name="Budget",type=string,JSONPath=`.spec.budget`
// +kubebuilder:printcolumn:name="Control",type=string,JSONPath=`.spec.control`,description="Manage if empty; Observe commands nothing"
// +kubebuilder:printcolumn:name="Agents",type=integer,JSONPath=`.status.agents`,description="Mining pods"
// +kubebuilder:printcolumn:name="Devices",type=integer,JSONPath=`.status.devices.total`,description="Devices found"
// +kubebuilder:printcolumn:name="Hashing",type=integer,JSONPath=`.status.devices.hashing`
// +kubebuilder:printcolumn:name="Sleeping",type=integer,JSONPath=`.status.devices.sleeping`
// +kubebuilder:printcolumn:name="Unreachable",type=integer,JSONPath=`.status.devices.unreachable`
// +kubebuilder:printcolumn:name="Stuck",type=integer,JSONPath=`.status.devices.stuck`,description="Devices that do not do what they were told"
// +kubebuilder:printcolumn:name="Rated",type=string,JSONPath=`.spec.ratedWatts`,description="The most the pool can draw, in watts"
// +kubebuilder:printcolumn:name="Leased",type=string,JSONPath=`.status.leasedWatts`,description="Watts the pool may draw now"
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Why",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 45 && !self.metadata.name.contains('.')",message="metadata.name of a MinerPool must be at most 45 characters without '.': its mining pods are named after it"
type MinerPool struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata. The name is at most 45
	// characters, without dots.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is the devices, what feeds them and how much they can draw.
	// +required
	Spec MinerPoolSpec `json:"spec,omitzero"`

	// status is what was decided.
	// +optional
	// +default={"observedGeneration": -1}
	Status MinerPoolStatus `json:"status,omitempty,omitzero"`
}

// MinerPoolList is a list of MinerPools.
// +kubebuilder:object:root=true
type MinerPoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty,omitzero"`
	Items           []MinerPool `json:"items"`
}
