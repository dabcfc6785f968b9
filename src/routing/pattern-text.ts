import type { Condition, RoutePattern } from "./types.ts";

/** A route's pattern as a person writes it: `shop.example.com/api*`, `:8081/`, `*.example.com/x (GET, X-A: 1)`. */
export function patternText({ listen, host, hostPort, path, match, methods, conditions }: RoutePattern): string {
  const port = hostPort === undefined ? "" : `:${hostPort}`;
  const at = listen === undefined ? "" : `:${listen} `;
  const end = match === "exact" ? "" : match === "segments" ? "[/…]" : "…";
  const asked = [...(methods.length > 0 ? [methods.join("|")] : []), ...conditions.map(conditionText)];
  return `${at}${host === "" ? "any host " : host}${port}${path}${end}${asked.length > 0 ? ` (${asked.join(", ")})` : ""}`;
}

function conditionText(condition: Condition): string {
  if (condition.on === "cookie") return `cookie ${condition.name}=${condition.value}`;
  if (condition.is === "present") return condition.name;
  return `${condition.name}${condition.is === "equal" ? ": " : " ~ "}${condition.value}`;
}
