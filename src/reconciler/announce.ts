import type { Plan } from "../haproxy/plan/types.ts";
import type { Exclusion } from "../routing/types.ts";
import type { EventLog } from "./events.ts";

/** So many changes of one pass are said one by one; of more, the number. */
export const saidSingly = 20;

/**
 * One line for each change that was applied at run time.
 *
 * @param sinceAnswerMs from Consul's answer to HAProxy's; undefined when something else set it off
 */
export function announceApplied(events: EventLog, plan: Plan, tookMs: number, sinceAnswerMs: number | undefined): void {
  const reasons = new Set(plan.reload?.map(({ subject, sentence }) => `${subject} ${sentence}`));
  const applied = plan.changes.filter(({ subject, sentence }) => !reasons.has(`${subject} ${sentence}`));
  const timing = {
    applied: "runtime",
    plan: plan.id,
    tookMs: rounded(tookMs),
    ...(sinceAnswerMs !== undefined && { sinceAnswerMs: rounded(sinceAnswerMs) }),
  };
  const when =
    sinceAnswerMs === undefined ? `${rounded(tookMs)} ms` : `${rounded(sinceAnswerMs)} ms since Consul answered`;
  for (const { subject, sentence } of applied.slice(0, saidSingly)) {
    events.emit("change-applied", "info", `${subject}: ${sentence}, at run time, ${when}`, { subject, ...timing });
  }
  if (applied.length > saidSingly) {
    const more = applied.length - saidSingly;
    events.emit("change-applied", "info", `and ${more} more changes, at run time, ${when}`, { more, ...timing });
  }
}

/** Says what has been left out since the last pass; once for each. */
export function announceExclusions(events: EventLog, before: readonly Exclusion[], now: readonly Exclusion[]): void {
  if (before === now || (before.length === 0 && now.length === 0)) return;
  const known = new Set(before.map(exclusionKey));
  for (const exclusion of now) {
    if (known.has(exclusionKey(exclusion))) continue;
    const who = exclusion.instance === undefined ? "" : ` (${JSON.stringify(exclusion.instance)})`;
    const message = `left out: ${JSON.stringify(exclusion.service)}${who}: ${exclusion.reason}`;
    events.emit("excluded", "warn", message, { ...exclusion });
  }
}

function exclusionKey({ service, instance, code, reason }: Exclusion): string {
  return JSON.stringify([service, instance, code, reason]);
}

function rounded(ms: number): number {
  return Math.round(ms * 10) / 10;
}
