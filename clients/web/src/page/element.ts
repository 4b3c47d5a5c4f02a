// Creates DOM elements. Text is inserted as text; nothing is parsed as HTML.

type Child = Node | string | null;

/** Attributes and listeners. A function listens to the event named after `on`; `true` sets an empty attribute. */
export type Attributes = Readonly<Record<string, string | number | boolean | ((event: Event) => void)>>;

/** Returns a sentence as nodes. What is isolated in it, such as a name, becomes a `<bdi>`: see `isolated` in `words.ts`. */
export function sentence(text: string): Node[] {
  return text.split(/\u2068([^\u2069]*)\u2069/).map((part, index) => {
    return index % 2 === 1 ? h("bdi", {}, part) : document.createTextNode(part);
  });
}

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
