// Computes the number of columns and the size at which tiles are largest.

/** Space for tiles, in CSS pixels. */
export interface GridSpace {
  readonly width: number;
  readonly height: number;
  /** Between two tiles. */
  readonly gap: number;
}

/** Number of columns, and the size of every tile in CSS pixels. */
export interface GridLayout {
  readonly columns: number;
  readonly width: number;
  readonly height: number;
}

/** Range of aspect ratios (width divided by height) that a tile may have. Video is cropped to its tile. */
export interface AspectRatios {
  readonly narrowest: number;
  readonly widest: number;
}

/** Lays out a number of tiles. */
export function layout(tiles: number, { width, height, gap }: GridSpace, ratios: AspectRatios): GridLayout {
  let best: GridLayout = { columns: 1, width: 0, height: 0 };
  for (let columns = 1; columns <= tiles; columns += 1) {
    const rows = Math.ceil(tiles / columns);
    const cellWidth = Math.max(0, (width - gap * (columns - 1)) / columns);
    const cellHeight = Math.max(0, (height - gap * (rows - 1)) / rows);
    const tile = {
      columns,
      width: Math.floor(Math.min(cellWidth, cellHeight * ratios.widest)),
      height: Math.floor(Math.min(cellHeight, cellWidth / ratios.narrowest)),
    };
    if (tile.width * tile.height > best.width * best.height) best = tile;
  }
  return best;
}
