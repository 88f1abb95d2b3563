using System.CommandLine;
using Rpal.Cli.Bench;

if (BenchRoles.TryRun(args) is { } code)
{
    return code;
}

var root = new RootCommand("rpal") { BenchCommands.Bench(), DemoCommand.Create() };
return await root.Parse(args).InvokeAsync();
