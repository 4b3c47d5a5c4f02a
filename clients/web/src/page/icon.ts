// The page's line icons, on a grid of 24 × 24.

const SVG = "http://www.w3.org/2000/svg";

const PATHS = {
  mark: "M3 9h18M7.5 9v5.2a.8.8 0 0 0 .8.8h7.4a.8.8 0 0 0 .8-.8V9",
  microphone: "M12 3.5a3 3 0 0 0-3 3v5a3 3 0 0 0 6 0v-5a3 3 0 0 0-3-3zM5.5 11.5a6.5 6.5 0 0 0 13 0M12 18v3",
  "microphone-off":
    "M9 9v2.5a3 3 0 0 0 4.6 2.5M15 11V6.5a3 3 0 0 0-5.8-1M5.5 11.5a6.5 6.5 0 0 0 10 5.4M18.5 11.5a6.4 6.4 0 0 1-.6 2.7M12 18v3M4 3.5l16 17",
  camera:
    "M4.5 6.5h9a1.5 1.5 0 0 1 1.5 1.5v8a1.5 1.5 0 0 1-1.5 1.5h-9A1.5 1.5 0 0 1 3 16V8a1.5 1.5 0 0 1 1.5-1.5zM15 10.8l6-3.3v9l-6-3.3",
  "camera-off":
    "M9 6.5h4.5A1.5 1.5 0 0 1 15 8v4.5M15 10.8l6-3.3v9l-3-1.6M15 15.5v.5a1.5 1.5 0 0 1-1.5 1.5h-9A1.5 1.5 0 0 1 3 16V8a1.5 1.5 0 0 1 1.3-1.5M4 3.5l16 17",
  screen:
    "M4.5 5h15A1.5 1.5 0 0 1 21 6.5v8a1.5 1.5 0 0 1-1.5 1.5h-15A1.5 1.5 0 0 1 3 14.5v-8A1.5 1.5 0 0 1 4.5 5zM8.5 20h7M12 16v4M12 13V8.5M9.8 10.6 12 8.4l2.2 2.2",
  leave:
    "M3.5 14.2c-.6-.7-.7-1.7-.3-2.5C5 9.3 8.3 8 12 8s7 1.3 8.8 3.7c.4.8.3 1.8-.3 2.5l-1 1.1c-.5.5-1.2.6-1.8.3l-2.3-1.1a1.5 1.5 0 0 1-.9-1.5l.1-1.2a9.6 9.6 0 0 0-5.2 0l.1 1.2a1.5 1.5 0 0 1-.9 1.5l-2.3 1.1c-.6.3-1.3.2-1.8-.3z",
  lock: "M7 10.5h10a1.5 1.5 0 0 1 1.5 1.5v6.5A1.5 1.5 0 0 1 17 20H7a1.5 1.5 0 0 1-1.5-1.5V12A1.5 1.5 0 0 1 7 10.5zM8 10.5V7.8a4 4 0 0 1 8 0v2.7",
  "lock-check":
    "M7 10.5h10a1.5 1.5 0 0 1 1.5 1.5v6.5A1.5 1.5 0 0 1 17 20H7a1.5 1.5 0 0 1-1.5-1.5V12A1.5 1.5 0 0 1 7 10.5zM8 10.5V7.8a4 4 0 0 1 8 0v2.7M9.3 15.3l1.9 1.9 3.5-3.7",
  check: "M5 12.5l4.5 4.5L19 7.5",
  warning: "M12 4.5 3.2 19.5h17.6zM12 10v4.5M12 17v.2",
  link: "M10 14a4 4 0 0 0 5.7 0l3.1-3.1a4 4 0 0 0-5.7-5.7L12 6.3M14 10a4 4 0 0 0-5.7 0l-3.1 3.1a4 4 0 0 0 5.7 5.7l1.1-1.1",
  close: "M6 6l12 12M18 6 6 18",
} as const;

/** Name of an icon. */
export type IconName = keyof typeof PATHS;

/** Creates an icon. It is hidden from screen readers, so the control that holds it needs a label. */
export function icon(name: IconName): SVGSVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.classList.add("icon", `icon-${name}`);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
