// argv → command. The only file that ends the process.
process.exitCode = 0;
