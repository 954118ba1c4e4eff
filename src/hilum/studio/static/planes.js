// The three planes of a volume (Z, Y, X). Across y and x slices stand head up: their rows count z from the top.
export const PLANES = ["axial", "coronal", "sagittal"];

// Where a voxel (z, y, x) lies in the plane across an axis, as [x, y] on it.
export function onPlane(axis, [z, y, x], shape) {
  const up = shape[0] - 1 - z;
  return [[x, y], [x, up], [y, up]][axis];
}

// The voxel under a point [x, y] of the plane across an axis that goes through `cross`; never outside.
export function voxelAt(axis, [px, py], cross, shape) {
  const [column, row] = [Math.floor(px), Math.floor(py)];
  const up = shape[0] - 1 - row;
  const found = [[cross[0], row, column], [up, cross[1], column], [up, column, cross[2]]][axis];
  return found.map((at, k) => Math.max(0, Math.min(shape[k] - 1, at)));
}
