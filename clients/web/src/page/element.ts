// Creates DOM elements. Text is inserted as text; nothing is parsed as HTML.

type Child = Node | string | null;

/** Attributes and listeners. A function listens to the event named after `on`; `true` sets an empty attribute. */
export type Attributes = Readonly<Record<string, string | number | boolean | ((event: Event) => void)>>;

/** Creates an element with attributes and children. `null` children are skipped. */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false) element.setAttribute(name, String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}
