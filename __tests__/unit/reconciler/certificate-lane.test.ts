import { beforeEach, describe, expect, test } from "@jest/globals";
import { makePlaceholder } from "../../../src/certificates/placeholder.ts";
import { certificateOf } from "../../../src/haproxy/plan/certificates.ts";
import type { Certificate, CertificateOperation } from "../../../src/haproxy/plan/types.ts";
import { CertificateLane } from "../../../src/reconciler/certificate-lane.ts";
import { EventLog } from "../../../src/reconciler/events.ts";
import type { ObservedCertificate, OperationResult } from "../../../src/reconciler/ports.ts";
import { silentLogger } from "../../../src/support/logger.ts";
import { FakeStore } from "../../support/fake-store.ts";
import { ManualClock } from "../../support/manual-clock.ts";

const list = "/c/list.txt";
const { signal } = new AbortController();

/** HAProxy's certificates, by file; `loaded` undefined where the list is not loaded. */
class FakeCertificates {
  loaded: Map<string, ObservedCertificate> | undefined;
  refuse = false;
  readonly asked: string[] = [];

  async applyCertificates(operations: readonly CertificateOperation[]): Promise<readonly OperationResult[]> {
    return operations.map((operation) => {
      const file = operation.kind === "remove-certificate" ? operation.file : operation.certificate.file;
      this.asked.push(`${operation.kind} ${file}`);
      if (this.refuse) return { ok: false, command: operation.kind, answer: "no" };
      if (operation.kind === "remove-certificate") this.loaded?.delete(file);
      else this.loaded?.set(file, operation.certificate);
      return { ok: true };
    });
  }

  async readCertificates(): Promise<readonly ObservedCertificate[] | undefined> {
    return (
      this.loaded && [...this.loaded.values()].map(({ file, names, fingerprint }) => ({ file, names, fingerprint }))
    );
  }
}

let haproxy: FakeCertificates;
let journal: string[];
let store: FakeStore;
let events: EventLog;
let wanted: readonly Certificate[];

function certificate(name: string): Certificate {
  return certificateOf({ file: `/c/${name}.pem`, names: [`${name}.test`] }, makePlaceholder(0));
}

function lane(files: ReadonlyMap<string, string> = new Map()): CertificateLane {
  const certificates = { list, latest: () => wanted, subscribe: () => () => undefined };
  return new CertificateLane({ certificates, runtime: haproxy, store, events }, files);
}

/** A process that has loaded what is wanted from its files. */
async function loaded(): Promise<CertificateLane> {
  const made = lane();
  await made.writeWanted();
  haproxy.loaded = new Map(wanted.map((one) => [one.file, one]));
  made.filesLoaded();
  await made.readBack(signal);
  journal.length = 0;
  return made;
}

const driftEvents = () => events.recent(100).filter(({ type }) => type === "drift");

beforeEach(() => {
  haproxy = new FakeCertificates();
  journal = [];
  store = new FakeStore(journal, () => undefined);
  events = new EventLog(new ManualClock(), silentLogger);
  wanted = [certificate("a"), certificate("b")];
});

describe("certificates of a running process", () => {
  test("a change is made at run time, its files follow, and then there is nothing left to do", async () => {
    const made = await loaded();
    expect(await made.settle(signal)).toEqual({ complete: true, changed: false });
    const [a] = wanted;
    wanted = [certificate("b"), certificate("c")];
    expect(await made.settle(signal)).toEqual({ complete: true, changed: true });
    expect(haproxy.asked).toEqual([
      "set-certificate /c/b.pem",
      "add-certificate /c/c.pem",
      `remove-certificate ${a?.file}`,
    ]);
    await made.writeLoaded();
    // The list never names what is not there.
    expect(journal).toEqual([
      "write certificate b.pem",
      "write certificate c.pem",
      "write certificate list.txt",
      "remove certificate a.pem",
    ]);
    expect(store.certificates.get(list)).toBe("/c/b.pem b.test\n/c/c.pem c.test\n");
    await made.writeLoaded();
    expect(journal).toHaveLength(4);
    expect(await made.settle(signal)).toEqual({ complete: true, changed: false });
    expect(JSON.stringify(events.recent(10))).not.toContain("PRIVATE KEY");
  });

  test("what HAProxy refuses is said without its content, stays to be done, and the files stay as they are", async () => {
    const made = await loaded();
    wanted = [certificate("a"), wanted[1] as Certificate];
    haproxy.refuse = true;
    expect(await made.settle(signal)).toEqual({ complete: false, changed: false });
    expect(events.recent(1)).toMatchObject([{ type: "operation-refused" }]);
    expect(JSON.stringify(events.recent(1))).not.toContain("BEGIN");
    await made.writeLoaded();
    expect(journal).toEqual([]);
    haproxy.refuse = false;
    await made.readBack(signal);
    expect(await made.settle(signal)).toEqual({ complete: true, changed: true });
    expect(driftEvents()).toEqual([]);
  });

  test("somebody else's change is found, said and set right; before that it is not written down", async () => {
    const made = await loaded();
    const strange = certificate("a");
    haproxy.loaded?.set(strange.file, strange);
    haproxy.loaded?.delete("/c/b.pem");
    await made.readBack(signal);
    expect(driftEvents()).toMatchObject([
      {
        data: {
          drift: [
            { subject: "certificate a.pem", found: strange.fingerprint, expected: wanted[0]?.fingerprint },
            { subject: "certificate b.pem", found: "not there", expected: wanted[1]?.fingerprint },
          ],
        },
      },
    ]);
    await made.writeLoaded();
    expect(journal).toEqual([]);
    expect(await made.settle(signal)).toEqual({ complete: true, changed: true });
    expect(haproxy.asked).toEqual(["set-certificate /c/a.pem", "add-certificate /c/b.pem"]);
  });

  test("where the list is not loaded nothing is asked for", async () => {
    const made = lane();
    await made.readBack(signal);
    expect(await made.settle(signal)).toEqual({ complete: true, changed: false });
    expect(haproxy.asked).toEqual([]);
  });
});

describe("before HAProxy reads its files", () => {
  test("they are what is wanted; after it that is what it has", async () => {
    const made = await loaded();
    wanted = [certificate("a")];
    await made.writeFirst();
    expect(journal).toEqual([]);
    await made.writeWanted();
    expect(journal).toEqual(["write certificate a.pem", "write certificate list.txt", "remove certificate b.pem"]);
    made.filesLoaded();
    expect(await made.settle(signal)).toEqual({ complete: true, changed: false });
  });

  test("the very first time they are written before it is asked about a configuration", async () => {
    const made = lane();
    await made.writeFirst();
    expect([...store.certificates.keys()].sort()).toEqual(["/c/a.pem", "/c/b.pem", list]);
  });

  test("what an operator before left there is known, and what nobody names is removed", async () => {
    const [a] = wanted as readonly [Certificate];
    const files = new Map([
      [list, `${a.file} a.test\n`],
      [a.file, a.pem.reveal()],
      ["/c/old.pem", "old"],
    ]);
    const made = lane(files);
    haproxy.loaded = new Map([[a.file, a]]);
    await made.readBack(signal);
    expect(await made.settle(signal)).toEqual({ complete: true, changed: true });
    expect(haproxy.asked).toEqual(["add-certificate /c/b.pem"]);
    await made.writeLoaded();
    expect(journal).toEqual(["write certificate b.pem", "write certificate list.txt", "remove certificate old.pem"]);
    expect(driftEvents()).toEqual([]);
  });
});
