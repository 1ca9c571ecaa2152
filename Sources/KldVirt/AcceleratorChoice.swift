/// Which accelerator guests get here, and why.
package struct AcceleratorChoice: Sendable, Hashable, Codable {
    package var accelerator: Accelerator
    /// How slow it is.
    package var speed: SpeedFactor
    /// Why KVM is not used; `nil` when it is.
    package var reason: String?

    package init(accelerator: Accelerator, speed: SpeedFactor, reason: String? = nil) {
        self.accelerator = accelerator
        self.speed = speed
        self.reason = reason
    }
}
