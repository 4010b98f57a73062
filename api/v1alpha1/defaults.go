package v1alpha1

// What the operator takes where a spec leaves a field out. The API server fills in none of these, so an
// object reads back as it was written, and a later version may choose better.
const (
	// DefaultMarginPercent of PowerBudget.spec.marginPercent.
	DefaultMarginPercent int32 = 2
	// DefaultLeaseSeconds of PowerBudget.spec.leaseSeconds.
	DefaultLeaseSeconds int32 = 120
	// DefaultDeclaredWatts of PowerBudget.spec.declaredWatts.
	DefaultDeclaredWatts = DeclaredTableFloor
	// DefaultOnShortfall of PowerBudget.spec.onShortfall.
	DefaultOnShortfall = ShortfallProtect

	// DefaultControl of MinerPool.spec.control.
	DefaultControl = ControlManage
	// DefaultFirmware of MinerPool.spec.devices.firmware.
	DefaultFirmware = FirmwareAuto
	// DefaultDevicesPerAgent of MinerPool.spec.devicesPerAgent.
	DefaultDevicesPerAgent int32 = 256
	// DefaultUncertaintyPercent of MinerPool.spec.uncertaintyPercent.
	DefaultUncertaintyPercent int32 = 5
	// DefaultHostNetwork of MinerPool.spec.agent.hostNetwork.
	DefaultHostNetwork = HostNetworkDisabled

	// DefaultMinPods of GPUWorkload.spec.minPods.
	DefaultMinPods int32 = 1
	// DefaultInterruptible of GPUWorkload.spec.interruptible.
	DefaultInterruptible = InterruptibleNever
	// DefaultReleaseDelaySeconds of GPUWorkload.spec.releaseDelaySeconds.
	DefaultReleaseDelaySeconds int32 = 60
)

// Or is the value a pointer points to, or the default where there is none.
func Or[T any](value *T, byDefault T) T {
	if value == nil {
		return byDefault
	}
	return *value
}

// OrZero is the value, or the default where it is the zero value; for fields whose zero value can't be
// written.
func OrZero[T comparable](value, byDefault T) T {
	var zero T
	if value == zero {
		return byDefault
	}
	return value
}
