import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { judgeCertificates } from "../../../../src/haproxy/process/judge-certificates.ts";
import { systemClock } from "../../../../src/support/clock.ts";
import { haproxyBinary } from "../../../support/binaries.ts";
import { makeCertificate } from "../../../support/certificates.ts";

let home: string;
beforeEach(async () => {
  home = await mkdtemp(path.join(tmpdir(), "sluice-judge-"));
});
afterEach(() => rm(home, { recursive: true, force: true }));

test("HAProxy's word on each of several, by name; nothing of them is left behind", async () => {
  const good = await makeCertificate({ names: ["good.test"] });
  const [weak, other] = await Promise.all([
    makeCertificate({ names: ["weak.test"], kind: "weak" }),
    makeCertificate({ names: ["other.test"], kind: "rsa" }),
  ]);
  const pems = new Map([
    ["weak", weak.pem],
    ["good", good.pem],
    ["mixed", `${good.certificate}${other.key}`],
    ["other", other.pem],
    ["empty", ""],
  ]);
  const judge = (some: ReadonlyMap<string, string>) =>
    judgeCertificates({ binary: haproxyBinary, directory: path.join(home, "trial"), clock: systemClock }, some);
  const refused = await judge(pems);
  expect([...refused.keys()].sort()).toEqual(["empty", "mixed", "weak"]);
  expect(refused.get("weak")).toMatch(/key too small|^unable to load SSL certificate/);
  expect(refused.get("mixed")).toMatch(/inconsistencies between private key and certificate|key values mismatch/);
  expect([...refused.values()].join("")).not.toContain(home);
  expect((await judge(new Map([["good", good.pem]]))).size).toBe(0);
  expect(await readdir(home)).toEqual([]);
});
