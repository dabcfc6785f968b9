import { z } from "zod";

const data = z.object({ tags: z.array(z.string()), meta: z.record(z.string(), z.string()) });

/** The content of quarantine.json: what HAProxy or the template did not take of the catalog's data. */
export const quarantineSchema = z.object({
  haproxy: z.string().optional(),
  entries: z.array(
    z.object({
      service: z.string(),
      data: z.string().exactOptional(),
      instance: z.string().exactOptional(),
      name: z.string(),
      instances: z.array(z.string()),
      reason: z.string(),
      since: z.number(),
      good: data.exactOptional(),
    }),
  ),
});

export type QuarantineFile = z.output<typeof quarantineSchema>;
