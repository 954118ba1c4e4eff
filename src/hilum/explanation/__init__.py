"""What a network looks at: feature maps, class activation, occlusion."""
