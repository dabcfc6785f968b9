import axios from "axios";
import { safeName, serverName } from "../../routing/names.ts";
import { canonicalIp } from "../../support/ip.ts";
import type { Registration } from "../agent-client.ts";

/** A line of the stats page's CSV that is a server (HAProxy management guide 9.1, "CSV format"). */
export interface StatsRow {
  readonly backend: string;
  readonly server: string;
  /** `UP`, `DRAIN`, `MAINT`, `DOWN 1/2`… */
  readonly status: string;
  readonly weight: number;
  /** Requests that wait for this server. */
  readonly queued: number;
  readonly sessions: number;
}

/**
 * The servers of a stats page's CSV, by the names in its first line:
 *
 *     # pxname,svname,qcur,qmax,scur,…,status,weight,…
 *     web,web-1_10.0.0.5:80,0,0,2,…,UP,1,…
 *
 * Only quoted fields, all behind these, may hold a comma.
 *
 * @returns undefined where it is no such text: a login page, an error
 */
export function serversOf(csv: string): readonly StatsRow[] | undefined {
  const [head = "", ...lines] = csv.split("\n");
  if (!head.startsWith("# pxname,svname,")) return undefined;
  const names = head.slice(2).split(",");
  const at = (name: string) => names.indexOf(name);
  const [queued, sessions, status, weight] = [at("qcur"), at("scur"), at("status"), at("weight")];
  return lines.flatMap((line) => {
    const fields = line.split(",");
    const [backend = "", server = ""] = fields;
    if (line === "" || server === "FRONTEND" || server === "BACKEND") return [];
    return {
      backend,
      server,
      status: fields[status] ?? "",
      weight: Number(fields[weight]),
      queued: Number(fields[queued]),
      sessions: Number(fields[sessions]),
    };
  });
}

/**
 * Which rows a registration has. With the agent's own address, which is not known here, all of its id and port.
 */
export function rowsOf(rows: readonly StatsRow[], registration: Registration): readonly StatsRow[] {
  const { id, name, address, port } = registration;
  // An id that is just the service's name is shown as the node's name, which is not known here either.
  const label = id === name ? undefined : `${safeName(id)}_`;
  if (address !== undefined && label !== undefined) {
    const wanted = serverName({ node: "", id }, name, address, port);
    return rows.filter(({ server }) => server === wanted);
  }
  return rows.filter(({ server }) => {
    const [, start = "", place = "", digits] = /^(.*_)([0-9a-fA-F.:]+):(\d+)$/.exec(server) ?? [];
    if (Number(digits) !== port || canonicalIp(place) === undefined) return false;
    return label === undefined ? address === undefined || place === address : start === label;
  });
}

/** Whether nothing is left at these rows, and nothing more will come: they carry nothing and are given nothing. */
export function isDrained(rows: readonly StatsRow[]): boolean {
  return rows.every(
    ({ status, weight, queued, sessions }) =>
      queued === 0 && sessions === 0 && (weight === 0 || /^(DRAIN|MAINT|DOWN)/.test(status)),
  );
}

export interface StatsPage {
  /** Without a user, for logs. */
  readonly shown: string;
  /** Rejects where it does not answer with a page. */
  read(signal: AbortSignal): Promise<readonly StatsRow[]>;
}

const longestMs = 2_000;

/**
 * A load balancer's stats page.
 *
 * @param written its address; a user and a password in it go before those given
 */
export function statsPage(written: string, user: string, password: string): StatsPage {
  const url = new URL(written);
  const auth = {
    username: url.username === "" ? user : decodeURIComponent(url.username),
    password: url.username === "" ? password : decodeURIComponent(url.password),
  };
  url.username = "";
  url.password = "";
  const shown = url.href;
  if (!url.pathname.endsWith(";csv")) url.pathname += ";csv";
  return {
    shown,
    read: async (signal) => {
      // The error of axios holds the request with its password: it is not passed on.
      const answer = await axios
        .get<string>(url.href, {
          auth,
          signal,
          timeout: longestMs,
          responseType: "text",
          maxRedirects: 0,
          proxy: false,
        })
        .catch((thrown: unknown) => {
          const status = axios.isAxiosError(thrown) ? thrown.response?.status : undefined;
          const code = axios.isAxiosError(thrown) ? thrown.code : undefined;
          throw new Error(status === undefined ? (code ?? "no answer") : `status ${status}`);
        });
      const rows = serversOf(answer.data);
      if (rows === undefined) throw new Error("not a stats page");
      return rows;
    },
  };
}
