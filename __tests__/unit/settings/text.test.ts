import { describe, expect, test } from "@jest/globals";
import { settingsSchema } from "../../../src/settings/schema.ts";
import { bind, consulAddress, domain, text, word } from "../../../src/settings/text.ts";

describe("texts of settings", () => {
  test.each([":80", "*:80", "127.0.0.1:80", "[::1]:80", ":80,:8080", "unix@/run/web.sock"])(
    "bind takes %s",
    (value) => {
      expect(bind.parse(value)).toBe(value);
    },
  );
  test.each(["", "80", ":80 ssl", ":80,", ":80\nuser root", ":80,8080"])("bind refuses %p", (value) => {
    expect(bind.safeParse(value).success).toBe(false);
  });

  test.each(["http://127.0.0.1:8500", "https://consul.example.org", "http://[::1]:8500/prefix", "unix:///run/c.sock"])(
    "Consul answers at %s",
    (value) => {
      expect(consulAddress.parse(value)).toBe(value);
    },
  );
  test.each([
    "127.0.0.1:8500",
    "http://",
    "ftp://consul",
    "unix://relative",
    "http://user:secret@consul",
    "http://consul?dc=x",
    "http://consul:99999",
  ])("Consul does not answer at %p", (value) => {
    expect(consulAddress.safeParse(value).success).toBe(false);
  });

  test.each(["service.local", "local", "a-b.c_d.e1"])("%s is a domain", (value) => {
    expect(domain.parse(value)).toBe(value);
  });
  test.each(["", ".local", "local.", "a..b", "-a", "a-", "a b", "a\n"])("%p is no domain", (value) => {
    expect(domain.safeParse(value).success).toBe(false);
  });

  test.each(["a b", "a\tb", 'a"b', "a'b", "a\\b", "a#b", "", "a\u0000b"])("%p is not one word", (value) => {
    expect(word.safeParse(value).success).toBe(false);
  });

  test.each(["", "a\nb", "\u007f", "\r"])("%p is no text", (value) => {
    expect(text.safeParse(value).success).toBe(false);
  });

  test("a user with a colon would end in the password", () => {
    expect(settingsSchema.safeParse({ stats: { user: "a:b" } }).success).toBe(false);
    expect(settingsSchema.safeParse({ stats: { path: "stats" } }).success).toBe(false);
  });
});
