import { describe, expect, test } from "@jest/globals";
import { nothingLeft } from "../../../../src/registration/register/nothing-left.ts";
import { isDrained, rowsOf, type StatsRow, serversOf } from "../../../../src/registration/register/stats-page.ts";
import { silentLogger } from "../../../../src/support/logger.ts";
import { ManualClock } from "../../../support/manual-clock.ts";

const head =
  "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr,wredis,status,weight,";

function csv(...rows: readonly string[]): string {
  return [head, ...rows, ""].join("\n");
}

/** A line as HAProxy writes it. */
function line(
  backend: string,
  server: string,
  queued: number,
  sessions: number,
  status: string,
  weight: number,
): string {
  return `${backend},${server},${queued},0,${sessions},9,,99,0,0,,0,,0,0,0,0,${status},${weight},`;
}

const row: StatsRow = { backend: "web", server: "w_10.0.0.5:80", status: "DRAIN", weight: 0, queued: 0, sessions: 0 };
const registration = { id: "w", name: "web", address: "10.0.0.5", port: 80, meta: {} };

test("the servers of a page, by the names in its first line", () => {
  const text = csv(
    line("fe", "FRONTEND", 0, 3, "OPEN", 0),
    line("web", "w_10.0.0.5:80", 1, 2, "UP", 7),
    line("web", "BACKEND", 0, 2, "UP", 7),
  );
  expect(serversOf(text)).toEqual([{ ...row, status: "UP", weight: 7, queued: 1, sessions: 2 }]);
  expect(serversOf("<html>401 Unauthorized</html>")).toBeUndefined();
});

describe("the rows of a registration", () => {
  const rows = [
    "w_10.0.0.5:80",
    "w_10.0.0.6:80",
    "w_10.0.0.5:81",
    "ww_10.0.0.5:80",
    "node-1_10.0.0.5:80",
    "w_fd00::7:80",
  ].map((server) => ({ ...row, server }));
  const names = (more: object) => rowsOf(rows, { ...registration, ...more }).map(({ server }) => server);
  const { address: _, ...without } = registration;

  test("are named after its id, address and port", () => expect(names({})).toEqual(["w_10.0.0.5:80"]));
  test("IPv6 too", () => expect(names({ address: "fd00::7" })).toEqual(["w_fd00::7:80"]));
  test("with the agent's own address: all of its id and port", () => {
    const found = rowsOf(rows, without).map(({ server }) => server);
    expect(found).toEqual(["w_10.0.0.5:80", "w_10.0.0.6:80", "w_fd00::7:80"]);
  });
  test("with the service's name as id: named after a node nobody knows here", () => {
    expect(names({ id: "web" })).toEqual(["w_10.0.0.5:80", "ww_10.0.0.5:80", "node-1_10.0.0.5:80"]);
  });
});

describe("nothing is left", () => {
  test.each([
    [{}, true],
    [{ status: "MAINT" }, true],
    [{ status: "UP", weight: 0 }, true],
    [{ status: "UP", weight: 1 }, false],
    [{ sessions: 1 }, false],
    [{ queued: 1 }, false],
  ])("%j: %p", (more, is) => expect(isDrained([{ ...row, ...more }])).toBe(is));
  test("no row: true", () => expect(isDrained([])).toBe(true));
});

describe("asking until nothing is left", () => {
  const page = (answer: () => readonly StatsRow[]) => ({ shown: "page", read: async () => answer() });

  test("three times in a row, on all pages", async () => {
    const clock = new ManualClock();
    const busy = { ...row, sessions: 1 };
    const answers = [[busy], [row], [row], [busy], [row], [row], [row]];
    let asked = 0;
    const pages = [page(() => answers[asked++] ?? []), page(() => [row])];
    const asking = nothingLeft(pages, registration, { clock, logger: silentLogger }, new AbortController().signal);
    await clock.advance(5 * 250);
    expect(asked).toBe(6);
    await clock.advance(250);
    expect(await asking).toBe(true);
    expect(asked).toBe(7);
  });

  test("a page that does not answer has something left, until the signal", async () => {
    const clock = new ManualClock();
    const warned: string[] = [];
    const logger = { ...silentLogger, warn: (_: object, message: string) => void warned.push(message) };
    const over = new AbortController();
    const dead = page(() => {
      throw new Error("ECONNREFUSED");
    });
    const asking = nothingLeft([dead], registration, { clock, logger }, over.signal);
    await clock.advance(60_000);
    over.abort();
    expect(await asking).toBe(false);
    expect(warned).toHaveLength(1);
  });
});
