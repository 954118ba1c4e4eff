"""What a network looks at, and how sure it is: feature maps, class activation, occlusion, uncertainty."""
