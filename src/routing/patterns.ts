import type { RouteOptions } from "../settings/options/table.ts";
import type { Condition, RoutePattern } from "./types.ts";

/** `a.example.com:8080` → the host in small letters, without the dot of the root, and its port. */
export function hostPattern(written: string): Pick<RoutePattern, "host" | "hostPort"> {
  const [, host = "", port] = /^(.*?)\.?(?::(\d+))?$/.exec(written.toLowerCase()) ?? [];
  return port === undefined ? { host } : { host, hostPort: Number(port) };
}

/** `=/x`: that path alone; `/x`: it and what is below it; `/x/`: what is below it alone; `/`: all. */
export function pathPattern(written: string): Pick<RoutePattern, "path" | "match"> {
  if (written.startsWith("=")) return { path: written.slice(1), match: "exact" };
  return { path: written, match: written.endsWith("/") ? "prefix" : "segments" };
}

/** `Name`, `Name: value`, `Name ~ regex`. */
export function headerCondition(written: string): Condition {
  const [, name = "", sign, value = ""] = /^([^\s:~]+)\s*(?:([:~])\s*(.*))?$/u.exec(written) ?? [];
  const header = name.toLowerCase();
  if (sign === undefined) return { on: "header", name: header, is: "present" };
  return { on: "header", name: header, is: sign === ":" ? "equal" : "like", value };
}

/** `name=value` */
export function cookieCondition(written: string): Condition {
  const at = written.indexOf("=");
  return { on: "cookie", name: written.slice(0, at), value: written.slice(at + 1) };
}

/** Methods and headers that requests must have. */
export function requestPattern(options: RouteOptions): Pick<RoutePattern, "methods" | "conditions"> {
  return {
    methods: [...new Set(options.method ?? [])].sort(),
    conditions: sortedConditions((options.header ?? []).map(headerCondition)),
  };
}

export function sortedConditions(conditions: readonly Condition[]): readonly Condition[] {
  const byText = new Map(conditions.map((condition) => [JSON.stringify(condition), condition]));
  return [...byText].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, condition]) => condition);
}
