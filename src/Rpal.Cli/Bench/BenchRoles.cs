namespace Rpal.Cli.Bench;

/// <summary>The parts that this program plays in its own benchmarks: members of a family, and plain processes to compare with.</summary>
internal static class BenchRoles
{
    /// <summary>Runs a role if the command line names one.</summary>
    /// <returns>Its exit code, or null: this is the command itself.</returns>
    public static int? TryRun(string[] args)
    {
        if (args is not [SelfCommand.RoleWord, string role, .. string[] rest])
        {
            return null;
        }

        switch (role)
        {
            case "service": CallRoles.Serve(); break;
            case "call": CallRoles.MeasureCall(); break;
            case "demo": CallRoles.MeasureDemo(int.Parse(rest[0])); break;
            case "lazy": CallRoles.MeasureLazy(); break;
            case "scale": CallRoles.MeasureScale(); break;
            case "socket-server": SocketRoles.Serve(rest[0], int.Parse(rest[1])); break;
            case "socket-client": SocketRoles.Measure(rest[0], int.Parse(rest[1]), int.Parse(rest[2])); break;
            case "blocks": BlockBenchPeer.Serve(int.Parse(rest[0])); break;
            case "ownership-writer": OwnershipRoles.Write(int.Parse(rest[0]), int.Parse(rest[1])); break;
            case "ownership-reader": OwnershipRoles.Read(int.Parse(rest[0]), int.Parse(rest[1]), int.Parse(rest[2])); break;
            case "wait-waker": WaitRoles.Wake(rest[0], int.Parse(rest[1]), int.Parse(rest[2])); break;
            case "wait-woken": WaitRoles.BeWoken(rest[0], int.Parse(rest[1]), rest.Length > 3 ? [int.Parse(rest[2]), int.Parse(rest[3]), int.Parse(rest[^1])] : [int.Parse(rest[2]), -1, -1]); break;
            case "hello": Console.WriteLine("hello"); break;
            default: return 64;
        }

        return 0;
    }
}
