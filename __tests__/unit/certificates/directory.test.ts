import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeAll, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { CertificateDirectory, type CertificateDirectoryOptions } from "../../../src/certificates/directory.ts";
import { isPlaceholder } from "../../../src/certificates/placeholder.ts";
import { listText } from "../../../src/haproxy/config/certificate-list.ts";
import { systemClock } from "../../../src/support/clock.ts";
import { SluiceError } from "../../../src/support/errors.ts";
import { type MadeCertificate, makeCertificate } from "../../support/certificates.ts";
import { eventually } from "../../support/sluice.ts";

jest.setTimeout(60_000);

const target = "/state/certs";
const list = `${target}/list.txt`;

let root: string;
let source: string;
let a: MadeCertificate;
let b: MadeCertificate;
let said: string[];
let told: number;
const open: CertificateDirectory[] = [];

beforeAll(async () => {
  [a, b] = await Promise.all([makeCertificate({ names: ["a.test"] }), makeCertificate({ names: ["b.test"] })]);
});
beforeEach(async () => {
  root = await mkdtemp(path.join(tmpdir(), "sluice-certificates-"));
  source = path.join(root, "source");
  await mkdir(source);
  said = [];
  told = 0;
});
afterEach(async () => {
  for (const one of open.splice(0)) one.close();
  await rm(root, { recursive: true, force: true });
});

async function started(more: Partial<CertificateDirectoryOptions> = {}): Promise<CertificateDirectory> {
  const directory = new CertificateDirectory({
    source,
    preferred: undefined,
    target,
    list,
    kept: new Map(),
    judge: async () => new Map(),
    emit: (type, severity, message) => said.push(`${type} ${severity}: ${message}`),
    clock: systemClock,
    ...more,
  });
  open.push(directory);
  directory.subscribe(() => {
    told += 1;
  });
  await directory.start();
  return directory;
}

const put = (name: string, { pem }: { readonly pem: string }) => writeFile(path.join(source, name), pem);
/** The hosts that are served, and by which content. */
const served = (directory: CertificateDirectory) =>
  directory
    .latest()
    .flatMap(({ names, pem }) => names.map((name) => `${name} ${pem.reveal() === a.pem ? "a" : "other"}`));
/** What the store has behind a directory. */
function keptOf(directory: CertificateDirectory): ReadonlyMap<string, string> {
  const all = directory.latest();
  return new Map([[list, listText(all)], ...all.map(({ file, pem }): [string, string] => [file, pem.reveal()])]);
}
const commonPlaceholder = (directory: CertificateDirectory) =>
  isPlaceholder(directory.latest()[0]?.pem.reveal() ?? "", Date.now());

describe("a directory of certificates", () => {
  test("is read at the start, and followed: what comes, what is another, what goes", async () => {
    await put("a.pem", a);
    const directory = await started();
    expect(served(directory)).toEqual(["a.test a"]);

    await put("b.pem", b);
    await eventually("b is there", () => served(directory).length === 2);
    await put("a.pem", await makeCertificate({ names: ["a.test"] }));
    await eventually("a is another", () => served(directory).includes("a.test other"));
    await rm(path.join(source, "b.pem"));
    await eventually("b is gone", () => served(directory).length === 1);
    expect(said.map((line) => line.split(":")[0])).toEqual([
      "certificate-loaded info",
      "certificate-loaded info",
      "certificate-replaced info",
      "certificate-removed info",
    ]);
    expect(told).toBeGreaterThan(2);
  });

  test("a link that is swapped, as Kubernetes and certbot do it, is a change", async () => {
    for (const [name, { pem }] of Object.entries({ one: a, two: b })) {
      await mkdir(path.join(root, name));
      await writeFile(path.join(root, name, "tls.pem"), pem);
    }
    await symlink(path.join(root, "one"), path.join(root, "current"));
    await symlink(path.join(root, "current", "tls.pem"), path.join(source, "tls.pem"));
    const directory = await started();
    expect(served(directory)).toEqual(["a.test a"]);
    await symlink(path.join(root, "two"), path.join(root, "next"));
    await rename(path.join(root, "next"), path.join(root, "current"));
    await eventually("the other is there", () => served(directory).includes("b.test other"));
  });

  test("that is emptied or goes as a whole changes nothing, and it is said once", async () => {
    await put("a.pem", a);
    const directory = await started();
    await rm(path.join(source, "a.pem"));
    await eventually("it is said", () => directory.problem !== undefined);
    expect(directory.problem).toBe(`there is no certificate in ${source} any more; those in force stay`);
    expect(served(directory)).toEqual(["a.test a"]);
    await put("b.pem", b);
    await eventually("others are there", () => served(directory).join() === "b.test other");
    expect(directory.problem).toBeUndefined();
    expect(said.filter((line) => line.includes("any more; those in force stay"))).toHaveLength(1);
  });

  test("without any there is a placeholder, which stays the same over a restart", async () => {
    const directory = await started();
    expect(commonPlaceholder(directory)).toBe(true);
    const again = await started({ kept: keptOf(directory) });
    expect(again.latest().map(({ digest }) => digest)).toEqual(directory.latest().map(({ digest }) => digest));
    expect(said).toEqual([]);
  });
});

describe("what was in force when the operator ended", () => {
  test("stays where the file has become unusable since", async () => {
    await put("a.pem", a);
    await put("b.pem", b);
    const kept = keptOf(await started());
    said = [];
    await put("a.pem", { pem: "broken" });
    const directory = await started({ kept });
    expect(served(directory)).toEqual(["a.test a", "b.test other"]);
    expect(said).toEqual([
      "certificate-refused error: certificate a is refused: there is no certificate in it; the one before stays in force",
    ]);
    expect(directory.status()).toMatchObject([
      { name: "a", names: ["a.test"], daysLeft: 59, problem: expect.stringContaining("no certificate in it") },
      { name: "b", names: ["b.test"] },
    ]);
  });

  test.each([
    ["is empty", () => undefined],
    ["has gone", () => rm(source, { recursive: true })],
  ])("stays where the directory %s", async (_, change) => {
    await put("a.pem", a);
    const kept = keptOf(await started());
    await rm(path.join(source, "a.pem"));
    await change();
    const directory = await started({ kept });
    expect(served(directory)).toEqual(["a.test a"]);
    expect(directory.problem).toContain("stay");
  });

  test("stays until HAProxy could be asked about what is there now", async () => {
    await put("a.pem", a);
    await put("b.pem", b);
    const kept = keptOf(await started());
    let broken = true;
    const judge = async () => {
      if (broken) throw new SluiceError("ERR_HAPROXY_CHECK_FAILED", "haproxy -c did not end", { retryable: true });
      return new Map<string, string>();
    };
    await put("b.pem", await makeCertificate({ names: ["b.test", "c.test"] }));
    const directory = await started({ kept, judge });
    expect(served(directory)).toEqual(["a.test a", "b.test other"]);
    expect(directory.problem).toContain("haproxy -c did not end");
    broken = false;
    await eventually("it was asked again", () => served(directory).includes("c.test other"));
    expect(directory.problem).toBeUndefined();
  });
});

test("one that is not valid any more does not take the place of one that is", async () => {
  await put("a.pem", a);
  const directory = await started({ clock: { ...systemClock, wall: () => Date.now() + 30 * 86_400_000 } });
  await put("a.pem", await makeCertificate({ names: ["a.test"], days: 10 }));
  await eventually("it is refused", () => said.some((line) => line.includes("it is not valid any more")), 10_000);
  expect(served(directory)).toEqual(["a.test a"]);
  expect(directory.status()).toMatchObject([
    { name: "a", daysLeft: 29, problem: expect.stringContaining("not valid any more") },
  ]);
});
