import { beforeAll, describe, expect, test } from "@jest/globals";
import { chooseCertificates } from "../../../src/certificates/choose.ts";
import { isPlaceholder, makePlaceholder } from "../../../src/certificates/placeholder.ts";
import type { ReadCertificate } from "../../../src/certificates/types.ts";
import { listText } from "../../../src/haproxy/config/certificate-list.ts";

const now = Date.UTC(2026, 5, 1);
const day = 86_400_000;
let pems: readonly string[];
let nextPem = 0;

beforeAll(() => {
  pems = [...Array(8).keys()].map(() => makePlaceholder(now));
});

function read(name: string, hosts: readonly string[], more: Partial<ReadCertificate> = {}): ReadCertificate {
  nextPem = (nextPem + 1) % pems.length;
  return {
    name,
    hosts,
    pem: pems[nextPem] ?? "",
    notBefore: now - day,
    notAfter: now + 90 * day,
    keyType: "ec",
    ...more,
  };
}

function choose(certificates: readonly ReadCertificate[], preferred?: string) {
  return chooseCertificates({ certificates, preferred, placeholder: () => "none", directory: "/state/certs", now });
}

/** The list without the digests in its paths. */
function listOf(certificates: readonly ReadCertificate[], preferred?: string): readonly string[] {
  const { certificates: chosen } = choose(certificates, preferred);
  return listText(chosen)
    .trimEnd()
    .split("\n")
    .map((line) => line.replace(/\.[0-9a-f]{8}\.pem/, "").replace("/state/certs/", ""));
}

describe("the list HAProxy gets", () => {
  test("begins with a copy of the default, whatever comes first by name; then all by name", () => {
    const [b, a] = [read("b", ["b.test"]), read("a", ["a.test", "*.a.test"])];
    expect(listOf([b, a])).toEqual(["default.pem !*", "a a.test *.a.test", "b b.test"]);
    expect(choose([b, a]).certificates[0]?.pem.reveal()).toBe(a.pem);
    expect(choose([b, a], "b").certificates[0]?.pem.reveal()).toBe(b.pem);
    expect(choose([b, a], "unknown").certificates[0]?.pem.reveal()).toBe(a.pem);
  });

  test("with none is the placeholder, which nobody takes for anything", () => {
    const text = makePlaceholder(now);
    const chosen = chooseCertificates({
      certificates: [],
      preferred: "x",
      placeholder: () => text,
      directory: "/s",
      now,
    });
    expect(listText(chosen.certificates)).toBe("/s/default.pem !*\n");
    expect(isPlaceholder(text, now)).toBe(true);
    expect(isPlaceholder(text, now + 19.5 * 365 * day)).toBe(false);
    expect(isPlaceholder("", now)).toBe(false);
  });

  test("has another file for other names, the same file for another content; odd names become safe ones", () => {
    const files = (hosts: readonly string[], name = "a") => choose([read(name, hosts)]).certificates[1]?.file;
    expect(files(["a.test"])).toBe(files(["a.test"]));
    expect(files(["a.test"])).not.toBe(files(["a.test", "b.test"]));
    expect(files(["a.test"], "../ä b")).toMatch(/^\/state\/certs\/[A-Za-z0-9_-]+\.[0-9a-f]{8}\.pem$/);
    expect(files(["a.test"], "a b")).not.toBe(files(["a.test"], "a?b"));
  });

  test("one that is for no name can be the default and nothing else", () => {
    expect(listOf([read("nobody", []), read("x", ["x.test"])])).toEqual(["default.pem !*", "x x.test"]);
  });
});

describe("several for one name", () => {
  test("the one that is valid longest has it, whatever the order; the rest keeps its other names", () => {
    const [old, fresh] = [
      read("a-old", ["shop.test", "old.test"], { notAfter: now + 5 * day }),
      read("b-new", ["shop.test"], { notAfter: now + 95 * day }),
    ];
    for (const order of [
      [old, fresh],
      [fresh, old],
    ]) {
      expect(listOf(order).slice(1)).toEqual(["a-old old.test", "b-new shop.test"]);
      const { serves, remarks } = choose(order);
      expect(serves.get("a-old")).toEqual(["old.test"]);
      expect([...remarks]).toEqual([["a-old", "shop.test is served by b-new, which is valid longer"]]);
    }
  });

  test("as long: the first by name; not valid yet: last; all lost: not in the list", () => {
    expect(listOf([read("b", ["s.test"]), read("a", ["s.test"])]).slice(1)).toEqual(["a s.test"]);
    const early = read("a", ["s.test"], { notBefore: now + day, notAfter: now + 400 * day });
    expect(listOf([early, read("b", ["s.test"])]).slice(1)).toEqual(["b s.test"]);
  });

  test("one of each kind of key serve it both: clients choose", () => {
    const both = [read("ec", ["s.test"]), read("rsa", ["s.test"], { keyType: "rsa" })];
    expect(listOf(both).slice(1)).toEqual(["ec s.test", "rsa s.test"]);
    expect(choose(both).remarks.size).toBe(0);
  });
});
