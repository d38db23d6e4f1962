"""What the generators of several libraries share: iteration, files, classes, augmentation."""
