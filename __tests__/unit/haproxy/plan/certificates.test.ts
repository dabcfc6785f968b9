import { describe, expect, test } from "@jest/globals";
import { makePlaceholder } from "../../../../src/certificates/placeholder.ts";
import { listEntries, listText } from "../../../../src/haproxy/config/certificate-list.ts";
import {
  certificatesFrom,
  longestPem,
  planCertificates,
  withCertificate,
} from "../../../../src/haproxy/plan/certificates.ts";
import type { Certificate } from "../../../../src/haproxy/plan/types.ts";
import { Secret } from "../../../../src/support/secret.ts";

const list = "/state/certs/list.txt";

function certificate(name: string, edition: number, length = 100): Certificate {
  return {
    file: `/state/certs/${name}.pem`,
    names: [`${name}.test`],
    fingerprint: `${edition}`,
    digest: `${name} ${edition}`,
    pem: new Secret("x".repeat(length)),
  };
}

const [a, b, c] = [certificate("a", 1), certificate("b", 1), certificate("c", 1)];

describe("what has to be done", () => {
  test("nothing for the same list, or one of the same contents", () => {
    const loaded = [a, b];
    expect(planCertificates(list, loaded, loaded)).toEqual({ operations: [] });
    expect(planCertificates(list, loaded, [certificate("a", 1), b])).toEqual({ operations: [] });
  });

  test("another content is set, a new one added, one that is gone removed; removals come last", () => {
    const renewed = certificate("b", 2);
    expect(planCertificates(list, [a, b], [renewed, c]).operations).toEqual([
      { kind: "set-certificate", certificate: renewed },
      { kind: "add-certificate", list, certificate: c },
      { kind: "remove-certificate", list, file: a.file },
    ]);
  });

  test("done one by one it comes to what is wanted", () => {
    const wanted = [certificate("b", 2), c];
    let loaded: readonly Certificate[] = [a, b];
    for (const operation of planCertificates(list, loaded, wanted).operations)
      loaded = withCertificate(loaded, operation);
    expect(loaded).toEqual(wanted);
    expect(planCertificates(list, loaded, wanted).operations).toEqual([]);
  });

  test("one that is too large for the socket is a reason for a reload, the others are not held up", () => {
    const large = certificate("a", 2, longestPem + 1);
    const plan = planCertificates(list, [a], [large, b]);
    expect(plan.operations).toEqual([{ kind: "add-certificate", list, certificate: b }]);
    expect(plan.reload).toMatchObject([{ code: "certificate-too-large", subject: `certificate ${a.file}` }]);
    expect(planCertificates(list, [a], [certificate("a", 2, longestPem)]).reload).toBeUndefined();
  });
});

describe("the list on the disk", () => {
  test("is read as it was written; HAProxy's own listing too", () => {
    const entries = [
      { file: "/s/default.pem", names: [] },
      { file: "/s/a.pem", names: ["*.a.test", "a.test"] },
    ];
    expect(listText(entries)).toBe("/s/default.pem !*\n/s/a.pem *.a.test a.test\n");
    expect(listEntries(listText(entries))).toEqual(entries);
    expect(listEntries("# /s/list.txt\n/s/a.pem:2 a.test\n\n")).toEqual([{ file: "/s/a.pem:2", names: ["a.test"] }]);
  });

  test("what cannot be read of it is left out", () => {
    const pem = makePlaceholder(0);
    const files = new Map([
      [list, "/s/good.pem x.test\n/s/bad.pem y.test\n/s/missing.pem z.test\n"],
      ["/s/good.pem", pem],
      ["/s/bad.pem", "broken"],
    ]);
    const [found, ...more] = certificatesFrom(list, files);
    expect(found).toMatchObject({
      file: "/s/good.pem",
      names: ["x.test"],
      fingerprint: expect.stringMatching(/^[0-9A-F]{40}$/),
    });
    expect(found?.pem.reveal()).toBe(pem);
    expect(more).toEqual([]);
    expect(certificatesFrom(list, new Map())).toEqual([]);
  });
});
