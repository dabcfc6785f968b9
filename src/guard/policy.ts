import type { Settings } from "../settings/schema.ts";
import type { GuardPolicy } from "./types.ts";

/** The guard's policy as the settings have it. */
export function guardPolicy({ guard, services }: Pick<Settings, "guard" | "services">): GuardPolicy {
  return { windowMs: guard.window, holdForMs: guard.holdFor, rememberMs: services.remember };
}
