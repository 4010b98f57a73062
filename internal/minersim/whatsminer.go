package minersim

import "fmt"

// WhatsMiner is what a group of WhatsMiners may have that others do not.
type WhatsMiner struct {
	// APISwitch lets writes in. Machines come with it off.
	APISwitch bool `json:"apiSwitch"`
	// FastBoot is how the machines were set up.
	FastBoot bool `json:"fastBoot"`
	// MaxTokens is how many tokens of API v2 live at once; 0 is 100.
	MaxTokens int `json:"maxTokens"`
	// Quirks gives the replies of older or odder firmware.
	Quirks bool `json:"quirks"`
}

const mostTokens = 1000

func (w WhatsMiner) check() error {
	if w.MaxTokens < 0 || w.MaxTokens > mostTokens {
		return fmt.Errorf("maxTokens: %d is not between 0 and %d", w.MaxTokens, mostTokens)
	}
	return nil
}
