using Rpal.Cli;
using Rpal.Cli.Bench;

return KeeperRole.TryRun(args) is { } kept ? kept : BenchRoles.TryRun(args) is { } exitCode ? exitCode : await RpalCommandLine.RunAsync(args);
