// The functions that wit/world.wit exports.
import { job } from "./clockjack.js";
import { greeting } from "./greeting.js";

export const hello = job((name) => {
  console.info(`greeting ${name}`);
  return greeting(name);
});
