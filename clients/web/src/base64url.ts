// base64url without padding (RFC 4648 section 5), the encoding of byte strings in links and messages.

const PATTERN = /^[A-Za-z0-9_-]*$/;

/** Encodes bytes. */
export function encode(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Decodes text. Returns `null` unless it is canonical: no other characters, no padding, no stray bits at the end. */
export function decode(text: string): Uint8Array<ArrayBuffer> | null {
  if (!PATTERN.test(text) || text.length % 4 === 1) return null;
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  const bytes = Uint8Array.from(binary, (char) => char.charCodeAt(0));
  return encode(bytes) === text ? bytes : null;
}

/** Decodes exactly `length` bytes. Returns `null` if the text is not canonical or has another length. */
export function decodeExactly(text: string, length: number): Uint8Array<ArrayBuffer> | null {
  const bytes = decode(text);
  return bytes?.length === length ? bytes : null;
}
