import { describe, expect, it } from "vitest";
import { CloseCode, errorOfClose, Refused } from "../src/protocol/refusal.ts";

describe("refusals before the handshake", () => {
  it("are worth another attempt if the address has too many connections", () => {
    expect(new Refused("rate_limited").code).toBe("server-busy");
    expect(errorOfClose(CloseCode.TryLater).code).toBe("server-busy");
  });

  it("are final if the server does not allow the page", () => {
    expect(new Refused("forbidden").code).toBe("access-refused");
  });

  it("say in a plain sentence that a moderator keeps the person out", () => {
    expect(new Refused("room_locked")).toMatchObject({ code: "room-locked", message: /locked/ });
    expect(new Refused("banned")).toMatchObject({ code: "removed", message: /banned/ });
    expect(new Refused("token_expired")).toMatchObject({ code: "access-refused", message: /expired/ });
    expect(errorOfClose(CloseCode.Removed)).toMatchObject({ code: "removed", message: /removed/ });
  });
});
