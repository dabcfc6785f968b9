import { ask } from "./system.ts";

/** A server's row on HAProxy's stats page. */
export interface StatsRow {
  readonly server: string;
  /** UP, DOWN, MAINT, DRAIN, no check, … */
  readonly status: string;
}

const page = "/haproxy_stats";

/**
 * The servers of a backend as the page's CSV has them, sorted by name (management guide 9.1):
 *
 *     # pxname,svname,qcur,qmax,…,status,…
 *     web,web_10.0.0.2:80,0,0,…,UP,…
 */
export async function statsRows(port: number, backend: string, auth = "admin:admin"): Promise<readonly StatsRow[]> {
  const { status, body } = await ask(port, { path: `${page};csv`, auth });
  if (status !== 200) throw new Error(`the stats page answers ${status}`);
  const [head = "", ...rows] = body.split("\n");
  const names = head.replace(/^# /, "").split(",");
  const [proxy, server, state] = ["pxname", "svname", "status"].map((name) => names.indexOf(name));
  return rows
    .map((row) => row.split(","))
    .filter((words) => words[proxy ?? -1] === backend)
    .map((words) => ({ server: words[server ?? -1] ?? "", status: words[state ?? -1] ?? "" }))
    .filter((row) => row.server !== "BACKEND" && row.server !== "FRONTEND")
    .sort((a, b) => (a.server < b.server ? -1 : 1));
}

/** The servers of a backend on the page people look at, each with the class that gives its row a colour; sorted. */
export async function statsColours(port: number, backend: string, auth = "admin:admin"): Promise<readonly string[]> {
  const { status, body } = await ask(port, { path: page, auth });
  if (status !== 200) throw new Error(`the stats page answers ${status}`);
  // <tr class="active_up"><td class=ac><a name="web/web_10.0.0.2:80"></a>…
  const rows = body.matchAll(/<tr class="?([a-z0-9_]+)"?>\s*<td class=ac>(?:(?!<tr).)*?<a name="([^"/]+)\/([^"]+)">/gs);
  return [...rows]
    .filter(([, , of, server]) => of === backend && server !== "Backend" && server !== "Frontend")
    .map(([, colour, , server]) => `${server} ${colour}`)
    .sort();
}
