"""What only CT needs: Hounsfield units, lungs, nodule masks, candidates and pictures of them."""
