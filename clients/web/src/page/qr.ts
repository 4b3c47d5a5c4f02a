// QR codes (ISO/IEC 18004) of one size, which a call code fits: version 3, level L, byte mode.
//
//   text ─► 55 bytes: mode, length, text, padding ─► 15 bytes of Reed-Solomon ─► bits along the zigzag ─► mask

const SVG = "http://www.w3.org/2000/svg";

/** Modules on a side. */
const SIZE = 29;
/** Light modules around it, which scanners need. */
const QUIET = 4;
const DATA_BYTES = 55;
const CHECK_BYTES = 15;
/** Centre of the one alignment pattern. */
const ALIGNMENT = 22;
/** x⁸ + x⁴ + x³ + x² + 1, of the field in which check bytes are computed. */
const FIELD = 0x11d;
/** Level L and mask 0, with their check bits and the fixed mask of format information. */
const FORMAT = 0b111_0111_1100_0100;

/** Longest text in bytes: two bytes of the data are mode, length and terminator. */
export const MAX_TEXT_BYTES = DATA_BYTES - 2;

/** Returns the modules of a QR code, row by row; `true` is dark. The text is ASCII. */
export function qrModules(text: string): boolean[][] {
  const data = dataBytes(text);
  const bits = [...data, ...checkBytes(data)].flatMap((byte) => bitsOf(byte, 8));
  const modules = functionPatterns();
  for (const [index, [row, column]] of zigzag(modules).entries()) {
    // Mask 0. The content is as good as random, so that no other mask would be better.
    const masked = (row + column) % 2 === 0;
    set(modules, row, column, (bits[index] ?? false) !== masked);
  }
  return modules.map((row) => row.map((module) => module === true));
}

/** Draws a QR code, dark on white in every theme. */
export function qrCode(text: string, label: string): SVGSVGElement {
  const side = SIZE + 2 * QUIET;
  const svg = element("svg", { viewBox: `0 0 ${side} ${side}`, role: "img", "aria-label": label, class: "qr" });
  const dark = qrModules(text).flatMap((row, y) =>
    row.flatMap((module, x) => (module ? [`M${x + QUIET} ${y + QUIET}h1v1h-1z`] : [])),
  );
  svg.append(
    element("rect", { width: side, height: side, fill: "#fff" }),
    element("path", { d: dark.join(""), fill: "#000", "shape-rendering": "crispEdges" }),
  );
  return svg;
}

function element<Name extends "svg" | "rect" | "path">(
  name: Name,
  attributes: Readonly<Record<string, string | number>>,
): SVGElementTagNameMap[Name] {
  const created = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) created.setAttribute(key, String(value));
  return created;
}

/** Returns the bits of a number, highest first. */
function bitsOf(value: number, count: number): boolean[] {
  return Array.from({ length: count }, (_, index) => ((value >> (count - 1 - index)) & 1) === 1);
}

function dataBytes(text: string): number[] {
  const bytes = [...new TextEncoder().encode(text)];
  if (bytes.length > MAX_TEXT_BYTES) throw new RangeError("the text is too long");
  // Mode 4 and the length share bytes with the text: everything is moved by half a byte.
  const nibbles = [4, ...[bytes.length, ...bytes].flatMap((byte) => [byte >> 4, byte & 15]), 0];
  const data: number[] = [];
  for (let i = 0; i < nibbles.length; i += 2) data.push(((nibbles[i] ?? 0) << 4) | (nibbles[i + 1] ?? 0));
  for (let pad = 0xec; data.length < DATA_BYTES; pad ^= 0xec ^ 0x11) data.push(pad);
  return data;
}

function multiply(a: number, b: number): number {
  let product = 0;
  for (let bit = 7; bit >= 0; bit -= 1) {
    product = (product << 1) ^ ((product >> 7) * FIELD);
    product ^= ((b >> bit) & 1) * a;
  }
  return product;
}

/** Returns the remainder of the data by the generator polynomial (x - 1)(x - 2)(x - 4)…. */
function checkBytes(data: readonly number[]): number[] {
  let generator = [1];
  for (let i = 0, root = 1; i < CHECK_BYTES; i += 1, root = multiply(root, 2)) {
    const shifted = [...generator, 0];
    for (const [index, coefficient] of generator.entries()) {
      shifted[index + 1] = (shifted[index + 1] ?? 0) ^ multiply(coefficient, root);
    }
    generator = shifted;
  }
  let remainder = new Array<number>(CHECK_BYTES).fill(0);
  for (const byte of data) {
    const [first = 0, ...rest] = remainder;
    const factor = byte ^ first;
    remainder = [...rest, 0].map((value, index) => value ^ multiply(generator[index + 1] ?? 0, factor));
  }
  return remainder;
}

/** A module, or `null` where data belongs. */
type Module = boolean | null;

function set(modules: Module[][], row: number, column: number, dark: boolean): void {
  const line = modules[row];
  if (line !== undefined && column >= 0 && column < SIZE) line[column] = dark;
}

/** Returns the modules that are the same in every code. */
function functionPatterns(): Module[][] {
  const modules = Array.from({ length: SIZE }, () => new Array<Module>(SIZE).fill(null));
  for (let i = 0; i < SIZE; i += 1) {
    set(modules, 6, i, i % 2 === 0);
    set(modules, i, 6, i % 2 === 0);
  }
  square(modules, ALIGNMENT, ALIGNMENT, 2);
  for (const [row, column] of [
    [3, 3],
    [3, SIZE - 4],
    [SIZE - 4, 3],
  ] as const) {
    square(modules, row, column, 4);
  }
  formatBits(modules);
  return modules;
}

/** Rings around a centre, dark and light in turn. A finder pattern has a light ring around its own. */
function square(modules: Module[][], row: number, column: number, radius: number): void {
  for (let y = -radius; y <= radius; y += 1) {
    for (let x = -radius; x <= radius; x += 1) {
      const ring = Math.max(Math.abs(x), Math.abs(y));
      const dark = radius === 2 ? ring !== 1 : ring !== 2 && ring !== 4;
      set(modules, row + y, column + x, dark);
    }
  }
}

function formatBits(modules: Module[][]): void {
  // From the lowest bit: up column 8 and back along row 8, around the first finder pattern; and split at the other two.
  const around = [0, 1, 2, 3, 4, 5, 7, 8];
  for (const [index, dark] of bitsOf(FORMAT, 15).reverse().entries()) {
    if (index < 8) {
      set(modules, around[index] ?? 0, 8, dark);
      set(modules, 8, SIZE - 1 - index, dark);
    } else {
      set(modules, 8, around[14 - index] ?? 0, dark);
      set(modules, SIZE - 15 + index, 8, dark);
    }
  }
  set(modules, SIZE - 8, 8, true);
}

/** The modules of data: pairs of columns from the right, up and down in turn, past the vertical timing pattern. */
function zigzag(modules: readonly (readonly Module[])[]): [row: number, column: number][] {
  const places: [number, number][] = [];
  const pairs = [28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 5, 3, 1];
  for (const [index, right] of pairs.entries()) {
    for (let step = 0; step < SIZE; step += 1) {
      const row = index % 2 === 0 ? SIZE - 1 - step : step;
      for (const column of [right, right - 1]) if (modules[row]?.[column] === null) places.push([row, column]);
    }
  }
  return places;
}
