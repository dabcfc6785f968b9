import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { beforeAll, describe, expect, test } from "@jest/globals";
import { readCertificate } from "../../../src/certificates/read-certificate.ts";
import { type MadeCertificate, makeCertificate } from "../../support/certificates.ts";

let shop: MadeCertificate;
let other: MadeCertificate;

beforeAll(async () => {
  shop = await makeCertificate({ names: ["Shop.test", "*.shop.test"] });
  other = await makeCertificate({ names: ["other.test"], kind: "rsa" });
});

function good(text: string) {
  const reading = readCertificate("shop", text);
  if (reading.kind === "bad") throw new Error(reading.problem);
  return reading.certificate;
}

function problem(text: string): string | undefined {
  const reading = readCertificate("shop", text);
  return reading.kind === "bad" ? reading.problem : undefined;
}

describe("a certificate that can be used", () => {
  test("names, times, kind of key, and a text without empty lines, carriage returns or what stands around", () => {
    const found = good(`Bag Attributes\n\n${shop.key}\n\n# of the shop\n${shop.certificate}`.replaceAll("\n", "\r\n"));
    expect(found).toMatchObject({ name: "shop", hosts: ["*.shop.test", "shop.test"], keyType: "ec" });
    expect(found.notAfter - found.notBefore).toBe(60 * 86_400_000);
    expect(found.pem).toBe(shop.pem);
    expect(good(shop.pem)).toEqual(found);
  });

  test("the one the key belongs to is the first, and each of the chain stands behind what it signed", async () => {
    const root = await makeCertificate({ names: ["Root"], authority: true });
    const middle = await makeCertificate({ names: ["Middle"], authority: true, issuer: root });
    const leaf = await makeCertificate({ names: ["leaf.test"], issuer: middle });
    const shuffled = [root.certificate, other.certificate, leaf.certificate, middle.certificate, leaf.key].join("");
    const expected = [leaf, middle, root, other].map(({ certificate }) => certificate).join("") + leaf.key;
    expect(good(shuffled)).toMatchObject({ hosts: ["leaf.test"], pem: expected });
    expect(good(`${leaf.certificate}${leaf.certificate}${leaf.key}`).pem).toBe(leaf.pem);
  });

  test("without alternative names the common name counts; what cannot be asked for is left out", async () => {
    const common = makeWith(["-subj", "/CN=only.test"]);
    expect(good(common).hosts).toEqual(["only.test"]);
    const mixed = makeWith([
      ...["-subj", "/CN=ignored.test"],
      ...["-addext", "subjectAltName=IP:127.0.0.1,DNS:good.test,DNS:bad name,DNS:a_b.test,DNS:x.*.test"],
    ]);
    expect(good(mixed).hosts).toEqual(["a_b.test", "good.test"]);
  });
});

describe("one that cannot", () => {
  test.each([
    ["there is no certificate in it", () => shop.key],
    ["there is no certificate in it", () => ""],
    ["there is no key in it", () => shop.certificate],
    ["there are several keys in it", () => `${shop.pem}${other.key}`],
    ["its key does not belong to its certificate", () => `${shop.certificate}${other.key}`],
    ["the CERTIFICATE in it has no end", () => `${shop.key}${shop.certificate.slice(0, 200)}`],
    ["the CERTIFICATE in it has no end", () => `${shop.certificate.slice(0, 200)}\n${other.pem}`],
    ["the CERTIFICATE in it is not base64", () => shop.pem.replace("\nMI", "\n<script>")],
    ["a certificate in it cannot be read", () => shop.pem.replace("\nMI", "\nAA")],
    ["its key cannot be read", () => `${shop.certificate}${shop.key.replace(/\nM.*\n/, "\n")}`],
  ])("%s", (expected, text) => {
    expect(problem(text())).toBe(expected);
  });

  test("a key with a password is named as such, in both of its forms", () => {
    const encrypted = (...args: readonly string[]) =>
      execFileSync("openssl", [...args, "-aes128", "-passout", "pass:x"], { input: other.key, encoding: "utf8" });
    for (const key of [encrypted("pkey"), encrypted("rsa", "-traditional")]) {
      expect(problem(`${other.certificate}${key}`)).toContain("its key is encrypted");
    }
  });
});

/** A certificate with its key of openssl's words. */
function makeWith(words: readonly string[]): string {
  const text = execFileSync(
    "openssl",
    [
      "req",
      "-x509",
      "-newkey",
      "ec",
      "-pkeyopt",
      "ec_paramgen_curve:P-256",
      "-nodes",
      "-days",
      "9",
      "-keyout",
      "-",
      ...words,
    ],
    { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
  );
  new X509Certificate(text.slice(text.indexOf("-----BEGIN CERTIFICATE")));
  return text;
}
