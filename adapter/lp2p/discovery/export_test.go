package discovery

// HintWait is hintWait, for tests outside the package.
const HintWait = hintWait
