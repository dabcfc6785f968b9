/**
 * Meta by which a registration of HAProxy itself is known (Fabio's `register=`); its value tells which HAProxy it is. No
 * server is ever made of one: requests would go round in a circle.
 */
export const registeredMeta = "sluice-registered";
