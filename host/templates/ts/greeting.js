// What needs no host stands in files of its own, which `node --test` can run.
/** @param {string} name */
export const greeting = (name) => `hello ${name}`;
