// How tiles fill the stage: the number of columns and the shape that make them largest.

/** Size of every tile, and how many stand side by side. */
export interface GridLayout {
  readonly columns: number;
  readonly width: number;
  readonly height: number;
}

/** Shapes that a tile may take, width by height: a picture is cut to it. */
export interface Shapes {
  readonly narrowest: number;
  readonly widest: number;
}

/** Lays `tiles` out in a stage of `width` × `height` pixels with `gap` between them. */
export function layout(tiles: number, width: number, height: number, gap: number, shapes: Shapes): GridLayout {
  let best: GridLayout = { columns: 1, width: 0, height: 0 };
  for (let columns = 1; columns <= tiles; columns += 1) {
    const rows = Math.ceil(tiles / columns);
    const cellWidth = Math.max(0, (width - gap * (columns - 1)) / columns);
    const cellHeight = Math.max(0, (height - gap * (rows - 1)) / rows);
    const tile = {
      columns,
      width: Math.floor(Math.min(cellWidth, cellHeight * shapes.widest)),
      height: Math.floor(Math.min(cellHeight, cellWidth / shapes.narrowest)),
    };
    if (tile.width * tile.height > best.width * best.height) best = tile;
  }
  return best;
}
