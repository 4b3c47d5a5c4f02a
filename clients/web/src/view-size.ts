// How large an element is shown: its height in device pixels, or 0 while no part of it is on the page's visible part.

/** An element that is being observed. */
export interface ObservedSize {
  /** Height in device pixels; 0 while the element is not visible. */
  readonly height: number;
  stop(): void;
}

/** Observes an element. `changed` is called after each change, and soon after the start. */
export function observeSize(element: Element, changed: () => void): ObservedSize {
  let height = 0;
  let visible = false;
  const resize = new ResizeObserver((entries) => {
    height = heightOf(entries.at(-1)) ?? height;
    changed();
  });
  const intersection = new IntersectionObserver((entries) => {
    visible = entries.at(-1)?.isIntersecting ?? visible;
    changed();
  });
  resize.observe(element);
  intersection.observe(element);
  return {
    get height() {
      return visible ? height : 0;
    },
    stop() {
      resize.disconnect();
      intersection.disconnect();
    },
  };
}

function heightOf(entry: ResizeObserverEntry | undefined): number | undefined {
  if (entry === undefined) return undefined;
  // Where the browser counts no device pixels, they follow from its zoom.
  const exact = entry.devicePixelContentBoxSize?.[0]?.blockSize;
  return Math.round(exact ?? entry.contentRect.height * devicePixelRatio);
}
