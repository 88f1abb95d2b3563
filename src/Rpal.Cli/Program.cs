using System.Text;
using Rpal.Hosting;

if (args[0] == "quick")
{
    return Rpal.Cli.Bench.CallBench.Quick(args[1..]);
}

using var host = new FamilyHost(FamilyDefinition.FromCommandLines(args), new Printer());
return (await host.RunAsync()).ExitCode;

internal sealed class Printer : IFamilyObserver
{
    public void Started(string member, int processId, long slotAddress) => Console.WriteLine($"{member} started {processId} {slotAddress:x}");

    public void Line(string member, bool isError, ReadOnlySpan<byte> line) => Console.WriteLine($"{member} | {Encoding.UTF8.GetString(line)}");

    public void Ended(string member, MemberExit exit, TimeSpan ran) => Console.WriteLine($"{member} ended {exit} {ran.TotalMilliseconds}");
}
